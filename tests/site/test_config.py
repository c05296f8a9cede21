"""``site.toml``: read strictly, because it is what protects the rows."""

import pytest

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site import (
    CsvSource,
    Policy,
    Privacy,
    read_policy,
    read_site_config,
)

DIGEST = "0123456789abcdef" * 4
PLAIN = {
    "format": "1",
    "site": '"north"',
    "approved": f'["{DIGEST}"]',
    "data.path": '"rows.csv"',
    "keys.identity": '"site.key"',
    "keys.coordinator": '"coordinator.pub"',
}


def write(tmp_path, **changes):
    """A ``site.toml`` with some lines changed, added or left out."""
    lines = PLAIN | {key.replace("__", "."): v for key, v in changes.items()}
    path = tmp_path / "site.toml"
    path.write_text("".join(f"{k} = {v}\n" for k, v in lines.items() if v is not None))
    return path


def test_paths_are_resolved_against_the_folder_of_the_file(tmp_path, monkeypatch):
    """Wherever the node was started."""
    path = write(tmp_path, inbox=None)
    monkeypatch.chdir(tmp_path)
    config = read_site_config(path.name)

    assert config.site == "north"
    assert config.source == CsvSource(tmp_path / "rows.csv")
    assert config.identity_path == tmp_path / "site.key"
    assert config.coordinator_path == tmp_path / "coordinator.pub"
    assert config.inbox == tmp_path / "inbox"
    assert config.approved == (DIGEST,)
    assert config.policy == Policy()


def test_absolute_paths_stay(tmp_path):
    """Data need not lie beside the configuration."""
    path = write(tmp_path, data__path=f'"{tmp_path}/other/rows.csv"', approved=None)
    config = read_site_config(path)

    assert config.source == CsvSource(tmp_path / "other" / "rows.csv")
    assert config.approved == ()


def test_thresholds_are_the_officers(tmp_path):
    """Those that are left out keep their defaults."""
    path = write(tmp_path, disclosure__min_cell="11", disclosure__dominance_one="0.4")

    assert read_site_config(path).policy == Policy(min_cell=11, dominance_one=0.4)
    assert read_policy(path) == Policy(min_cell=11, dominance_one=0.4)


def test_a_policy_may_stand_alone(tmp_path):
    """As a simulation reads it; an unknown threshold is still refused."""
    path = tmp_path / "policy.toml"
    path.write_text("[disclosure]\nmin_rows = 10\n")
    assert read_policy(path) == Policy(min_rows=10)
    path.write_text("[disclosure]\nmin_row = 10\n")
    with pytest.raises(PolicyError, match=r"disclosure\.min_row"):
        read_policy(path)


def test_the_unit_is_that_of_the_rules_and_of_the_noise(tmp_path):
    """Named once, with the data; a second name would be another promise."""
    noise = {
        "privacy.enabled": "true",
        "privacy.dataset": '"people"',
        "privacy.epsilon": "1.0",
        "privacy.delta": "1e-6",
        "privacy.budget_epsilon": "3.0",
    }
    plain = {"data.unit": '"pid"', "disclosure.min_sites": "3"}
    path = write(tmp_path, **plain, **noise)
    config = read_site_config(path)

    assert config.policy == read_policy(path) == Policy(unit="pid", min_sites=3)
    assert config.privacy is not None
    assert config.privacy.unit_column == "pid"
    same = write(tmp_path, **plain, **noise, privacy__unit_column='"pid"')
    assert read_site_config(same).privacy == config.privacy
    with pytest.raises(PolicyError, match="name two columns"):
        read_site_config(write(tmp_path, **plain, **noise, privacy__unit_column='"x"'))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("policy__signed", '"yes"'),
        ("policy__version", "2"),
        ("data__unit", '""'),
        ("data__unit", "1"),
        ("disclosure__min_sites", "0"),
        ("disclosure__unit", '"pid"'),
        ("format", "2"),
        ("format", None),
        ("site", None),
        ("site", '""'),
        ("site", "1"),
        ("surprise", "1"),
        ("approved", f'"{DIGEST}"'),
        ("approved", '["abc"]'),
        ("approved", f'["{DIGEST.upper()}"]'),
        ("approved", f'["{DIGEST}\\n"]'),
        ("data__path", None),
        ("data__path", "1"),
        ("data__kind", '"sql"'),
        ("keys__identity", None),
        ("keys__passphrase", '"secret"'),
        ("disclosure__enabled", '"no"'),
        ("disclosure__enabled", "0"),
        ("disclosure__min_cell", "2"),
        ("disclosure__min_cell", "0"),
        ("disclosure__min_cell", "-5"),
        ("disclosure__min_cell", '"5"'),
        ("disclosure__min_cell", "5.5"),
        ("disclosure__min_cell", "nan"),
        ("disclosure__min_rows", "0"),
        ("disclosure__min_rows", "true"),
        ("disclosure__rows_per_statistic", "0"),
        ("disclosure__rows_per_statistic", "nan"),
        ("disclosure__rows_per_statistic", "inf"),
        ("disclosure__rows_per_statistic", '"3"'),
        ("disclosure__dominance_one", "0"),
        ("disclosure__dominance_one", "1.01"),
        ("disclosure__dominance_two", "nan"),
        ("disclosure__min_cels", "5"),
    ],
)
def test_whatever_is_not_understood_is_refused(tmp_path, key, value):
    """A misspelt threshold must not silently be the default one."""
    path = write(tmp_path, **{key: value})
    with pytest.raises(PolicyError, match=r"site\.toml: .*; correct the file$"):
        read_site_config(path)


def test_a_refusal_does_not_repeat_what_the_file_holds(tmp_path):
    """A passphrase in the wrong place is not written to a log."""
    path = write(tmp_path, keys__passphrase='"hunter2"')
    with pytest.raises(PolicyError) as caught:
        read_site_config(path)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"x = ", b"\xff", b"site", b"[data", b"a = 1\na = 2"]
)
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    """By its name."""
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match="is no valid TOML"):
        read_site_config(path)


def test_a_mark_that_no_editor_shows_is_named(tmp_path):
    """What some editors put before the first letter."""
    path = tmp_path / "site.toml"
    path.write_bytes(b"\xef\xbb\xbfformat = 1\r\n")
    with pytest.raises(PolicyError, match="byte order mark: save it as UTF-8 without"):
        read_site_config(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """By path, because the officer must find it."""
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(PolicyError, match="cannot be read"):
            read_site_config(path)


NOISE = {
    "privacy.enabled": "true",
    "privacy.dataset": '"people"',
    "privacy.epsilon": "1.0",
    "privacy.delta": "1e-6",
    "privacy.budget_epsilon": "3.0",
}


def test_noise_is_off_unless_it_is_switched_on(tmp_path):
    """Without the table, or with it and not enabled."""
    assert read_site_config(write(tmp_path)).privacy is None
    config = read_site_config(write(tmp_path, **NOISE | {"privacy.enabled": "false"}))

    assert (config.privacy, config.ledger) == (None, None)


def test_noise_is_the_officers(tmp_path):
    """Every key, and defaults of those that are left out."""
    config = read_site_config(write(tmp_path, **NOISE))
    assert config.privacy == Privacy("people", 1.0, 1e-6, 3.0)
    assert config.ledger == tmp_path / "ledger.sqlite"
    more = {
        "privacy.relation": '"replace_one"',
        "privacy.clipping_norm": "2.5",
        "privacy.unit_column": '"patient"',
        "privacy.clusters": '[["a"], ["b"]]',
        "privacy.ledger": '"kept/ledger"',
    }
    config = read_site_config(write(tmp_path, **NOISE | more))

    assert config.privacy == Privacy(
        "people", 1.0, 1e-6, 3.0, "replace_one", 2.5, "patient", (("a",), ("b",))
    )
    assert config.ledger == tmp_path / "kept" / "ledger"


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("epsilon", '"1"', "privacy.epsilon"),
        ("epsilon", "0.0", "epsilon"),
        ("epsilon", None, "privacy.epsilon"),
        ("delta", "0.5", "delta"),
        ("relation", '"other"', "privacy.relation"),
        ("clipping_norm", "100.0", "clipping_norm"),
        ("enabled", "1", "privacy.enabled"),
        ("colour", '"red"', "privacy.colour"),
    ],
)
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_a_mistake_in_the_noise_is_found_also_while_it_is_off(
    tmp_path, key, value, word, enabled
):
    """Else it would show on the day that it is switched on."""
    lines = NOISE | {"privacy.enabled": enabled} | {f"privacy.{key}": value}
    with pytest.raises(PolicyError, match=word):
        read_site_config(write(tmp_path, **lines))
