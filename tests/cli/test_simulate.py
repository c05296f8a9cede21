"""What ``fedglmm simulate`` accepts, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pytest

from fedglmm_flower.flower.files import file_name
from tests.command import (
    BINOMIAL,
    GAUSSIAN,
    OPEN,
    POISSON,
    SITES,
    fedglmm,
    numbers,
    result_of,
    simulate,
    small_table,
)

LATER: list[tuple[str, ...]] = [
    ("--rounds", "2"),
    ("--rounds", "refine:0"),
    ("--rounds", "often"),
    ("--release-set", "newest"),
]
WRONG: list[tuple[str, ...]] = [
    ("--bogus",),
    ("surplus",),
    ("--order", "7"),
    ("--order", "0"),
    ("--order", "four"),
    ("--quorum", "0"),
    ("--seed", "-1"),
    ("--levels", "g"),
    ("--policy", "x.toml", "--no-disclosure"),
    ("--delta", "1e-6"),
    ("--relation", "add_remove"),
    ("--bootstrap", "9"),
    ("--epsilon", "0"),
    ("--relation", "none", "--epsilon", "1"),
]


@pytest.mark.parametrize("option", LATER + WRONG, ids=" ".join)
def test_an_option_that_does_not_exist_is_a_usage_error(option, tmp_path, monkeypatch):
    """Designed for later or misspelt: one line, status 2, and no folder."""
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text("[disclosure]\n")
    ended = simulate(tmp_path, small_table(), *GAUSSIAN, *option)
    code, detail = ended.line

    assert (ended.status, code) == (2, "usage")
    assert option[0].lstrip("-") in detail or option[0] == "--policy"
    assert not (tmp_path / "out").exists()


STUDY_FAULTS = {
    "link of another family": ((*GAUSSIAN, "--link", "log"), "link"),
    "unknown family": (("--formula", "y ~ x", "--family", "normal"), "'normal'"),
    "method of another family": ((*GAUSSIAN, "--method", "laplace"), "reml or ml"),
    "trials of another family": ((*POISSON, "--trials", "k"), "binomial"),
    "level twice": ((*GAUSSIAN, "--levels", "g=u,v,w,u"), "declared twice"),
    "one level": ((*GAUSSIAN, "--levels", "g=u"), "at least two"),
    "two intercepts": (
        ("--formula", "y ~ x + (1 | hospital) + (1 | site)", *GAUSSIAN[2:]),
        "'Intercept' varies by site in two random parts",
    ),
    "clusters twice": (
        ("--formula", "y ~ x + (1|hospital/g) + (1|g)", *GAUSSIAN[2:]),
        "'Intercept' varies by g in two random parts",
    ),
    "crossed": (
        ("--formula", "y ~ x + (1|hospital) + (1|g)", *GAUSSIAN[2:], "--no-disclosure"),
        "(... | hospital:g)",
    ),
    "data-dependent": (
        ("--formula", "y ~ poly(x, 2) + (1 | hospital)", *GAUSSIAN[2:]),
        "poly()",
    ),
    "public set without an anchor": (
        (*BINOMIAL, "--release-set", "public"),
        "release set: public without an anchor; a public anchor is required",
    ),
    "no arithmetic": (
        ("--formula", "y ~ open('f') + (1 | hospital)", *GAUSSIAN[2:]),
        "formula",
    ),
}


@pytest.mark.parametrize("case", STUDY_FAULTS)
def test_a_question_that_cannot_be_asked_is_refused(case, tmp_path):
    """Status 2 with what is wrong and what would be right."""
    options, words = STUDY_FAULTS[case]
    ended = simulate(tmp_path, small_table(), *options)
    code, detail = ended.line

    assert ended.status == 2
    assert code in {"study-invalid", "formula-invalid", "usage", "fit-impossible"}
    assert words in detail
    assert not (tmp_path / "out").exists()


def test_a_study_excludes_parts_of_a_question(tmp_path):
    """Two sources of one fact would have to be compared: one is refused."""
    ended = simulate(tmp_path, small_table(), *GAUSSIAN, "--study", "study.toml")

    assert ended.line[0] == "usage"
    assert simulate(tmp_path, small_table()).line[0] == "usage"


@pytest.mark.parametrize(
    ("option", "as_it_stands", "quoted", "formula", "family"),
    [
        ("--trials", "n of trials", "`n of trials`", "k ~ x", "binomial"),
        ("--offset", "expo-sure", "`expo-sure`", "c ~ x", "poisson"),
        ("--weights", "expo-sure", "`expo-sure`", "c ~ x", "poisson"),
        ("--weights", "expo-sure", "`expo-sure`", "y ~ x", "gaussian"),
    ],
)
def test_a_column_is_named_as_it_stands_in_the_header(
    option, as_it_stands, quoted, formula, family, tmp_path
):
    """Blanks and hyphens are part of a name; backticks say the same."""
    asked = ("--formula", f"{formula} + (1 | hospital)", "--family", family)
    found = []
    for text in (as_it_stands, quoted):
        assert simulate(tmp_path, small_table(), *asked, option, text).status == 0
        found.append(numbers(result_of(tmp_path)))

    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["class", "µg", "2020", "a+b", "log(x)", "x y.z"])
def test_a_column_of_any_name_can_be_an_option(name, tmp_path):
    """A text that equals a column's name is that column, whatever it reads like."""
    table = small_table()
    asked = ("--formula", "c ~ x + (1 | hospital)", "--family", "poisson")
    simulate(tmp_path, table, *asked, "--offset", "expo-sure")
    expected = result_of(tmp_path)
    table = table.rename(columns={"expo-sure": name})

    assert simulate(tmp_path, table, *asked, "--offset", name).status == 0
    assert result_of(tmp_path)["loglik"] == pytest.approx(expected["loglik"], abs=0.01)


def test_options_take_expressions(tmp_path):
    """An offset is on the link scale, so exposure enters by its logarithm."""
    asked = ("--formula", "c ~ x + (1 | hospital)", "--family", "poisson")
    simulate(tmp_path, small_table(), *asked, "--offset", "log(`expo-sure`)")
    by_option = numbers(result_of(tmp_path))["fixed"]
    text = "c ~ x + offset(log(`expo-sure`)) + (1 | hospital)"
    simulate(tmp_path, small_table(), "--formula", text, "--family", "poisson")

    for one, other in zip(by_option, result_of(tmp_path)["fixed"], strict=True):
        assert one["estimate"] == pytest.approx(other["estimate"], abs=2e-3)


def test_trials_and_cbind_are_one_question(tmp_path):
    """With --trials the response is the count of events."""
    simulate(
        tmp_path,
        small_table(),
        *("--formula", "k ~ g + (1 | hospital)", "--family", "binomial"),
        *("--trials", "n of trials"),
    )
    first = result_of(tmp_path)
    text = "cbind(k, `n of trials` - k) ~ g + (1 | hospital)"
    simulate(tmp_path, small_table(), "--formula", text, "--family", "binomial")
    second = result_of(tmp_path)

    assert first["exactness"] == second["exactness"] == "exact"
    assert first["loglik"] == pytest.approx(second["loglik"], abs=1e-6)


def test_levels_set_reference_and_order(tmp_path):
    """The first declared level is the reference; a numeric column may have levels."""
    text = "y ~ g + b + (1 | hospital)"
    simulate(
        tmp_path,
        small_table(),
        *("--formula", text, "--family", "gaussian"),
        *("--levels", "g=w,u,v", "--levels", "b=1,0"),
    )

    names = [row["name"] for row in result_of(tmp_path)["fixed"]]

    assert names == ["Intercept", "g[T.u]", "g[T.v]", "b[T.0]"]


def test_the_second_level_of_a_text_response_is_the_event(tmp_path):
    """died/survived: sorted levels, the second is modelled."""
    table = small_table()
    simulate(tmp_path, table, *BINOMIAL)
    expected = [row["estimate"] for row in result_of(tmp_path)["fixed"]]
    table["e"] = np.where(table.e == 1, "survived", "died")
    simulate(tmp_path, table, *BINOMIAL)

    found = [row["estimate"] for row in result_of(tmp_path)["fixed"]]

    assert found == pytest.approx(expected, abs=5e-3)


def test_a_policy_lowers_the_order_before_it_refuses(tmp_path):
    """Five rows for each number leave room for ten numbers; the result says so."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[disclosure]\nrows_per_statistic = 5\nmin_cell = 3\n")
    ended = simulate(tmp_path, small_table(), *BINOMIAL, "--policy", policy)
    result = result_of(tmp_path)

    assert ended.status == 0
    assert {entry["order"] for entry in result["sites"]} == {2}
    assert {entry["statistics"] for entry in result["sites"]} == {10}
    assert {entry["release_set"] for entry in result["sites"]} == {"canonical"}
    assert any("sent less than" in text for text in result["diagnostics"]["warnings"])


@pytest.mark.parametrize(
    "text",
    ["[disclosure]\nmin_cell = 1\n", "[disclosure]\nminimum = 5\n", "[disclosure\n"],
)
def test_a_policy_that_is_malformed_is_refused(text, tmp_path):
    """A threshold that is misspelt or below its floor is not replaced by a default."""
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    ended = simulate(tmp_path, small_table(), *GAUSSIAN, "--policy", policy)

    assert (ended.status, ended.line[0]) == (2, "policy-invalid")
    assert not (tmp_path / "out").exists()


def test_a_quorum_is_a_number_of_used_sites(tmp_path):
    """Sites that the gate refused do not count towards it."""
    table = small_table().drop(index=range(10, 60))

    assert simulate(tmp_path, table, *GAUSSIAN, "--quorum", 3).status == 0
    assert simulate(tmp_path, table, *GAUSSIAN, "--quorum", 4).status == 5


def test_sites_of_any_name_stay_inside_the_folder(tmp_path):
    """Slashes, blanks, dots and other alphabets name sites, never paths."""
    names = dict(zip(SITES, ["../x/y", " St. Mary", "Zürich 東京", "..."], strict=True))
    table = small_table().assign(hospital=lambda t: t.hospital.map(names))
    ended = simulate(tmp_path, table, *GAUSSIAN)
    result = result_of(tmp_path)

    assert ended.status == 0
    assert [entry["site"] for entry in result["sites"]] == sorted(names.values())
    assert {row["level"] for row in result["ranef"]} == set(names.values())
    sealed = {path.name for path in (tmp_path / "out" / "sealed").iterdir()}

    assert sealed == {f"{file_name(name)}.sealed" for name in names.values()}
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv", "out"}


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path):
    """A file from a spreadsheet is read as the same table."""
    simulate(tmp_path, small_table(), *GAUSSIAN)
    first = numbers(result_of(tmp_path))
    text = small_table().to_csv(index=False).replace("\n", "\r\n")
    simulate(tmp_path, b"\xef\xbb\xbf" + text.encode(), *GAUSSIAN)

    assert numbers(result_of(tmp_path)) == first


def test_without_a_study_the_constants_come_from_the_table_and_it_says_so(tmp_path):
    """Standard error holds the notice alone, and nothing when a study is given."""
    ended = simulate(tmp_path, small_table(), *GAUSSIAN, *OPEN)

    assert "were taken from the table" in ended.err
    assert ended.err.count("\n") == 1

    study = tmp_path / "study.toml"
    study.write_bytes((tmp_path / "out" / "study.toml").read_bytes())

    assert simulate(tmp_path, small_table(), "--study", study).err == ""


@pytest.mark.parametrize("left", ["result.json", "study.toml", "sealed/a.sealed"])
def test_an_earlier_run_is_replaced_on_request_alone(left, tmp_path):
    """A folder with any part of one is refused before anything is computed."""
    out, data = tmp_path / "out", tmp_path / "data.csv"
    small_table().to_csv(data, index=False)
    (out / left).parent.mkdir(parents=True)
    (out / left).write_text("mine")
    asked = ("simulate", data, *GAUSSIAN, "--out", out)
    ended = fedglmm(*asked)

    assert (ended.status, ended.line[0]) == (2, "usage")
    assert f"holds {left.split('/', maxsplit=1)[0]} of an earlier run" in ended.line[1]
    assert "--overwrite" in ended.line[1]
    assert [p for p in out.rglob("*") if p.is_file()] == [out / left]
    assert (out / left).read_text() == "mine"
    assert fedglmm(*asked, "--overwrite").status == 0
    assert result_of(tmp_path)["converged"]
    assert fedglmm(*asked).status == 2


def test_an_empty_folder_and_files_of_ones_own_do_no_harm(tmp_path):
    """What is no run is neither in the way nor touched."""
    out, data = tmp_path / "out", tmp_path / "data.csv"
    small_table().to_csv(data, index=False)
    out.mkdir()
    (out / "notes.txt").write_text("mine")

    assert fedglmm("simulate", data, *GAUSSIAN, "--out", out).status == 0
    assert (out / "notes.txt").read_text() == "mine"


def exact_counts(text: str) -> list[str]:
    """Numbers of rows, of a site or of all, that stand in a text."""
    return re.findall(r"(?<![\w.-])(?:60|240)(?:\.0)?(?![\w.]| %)", text)


def test_noise_from_end_to_end(tmp_path):
    """A simulation with an epsilon ends in intervals that hold the noise."""
    noise = ("--epsilon", "8", "--relation", "add_remove", "--bootstrap", "2")
    ended = simulate(tmp_path, small_table(), *BINOMIAL, *noise)
    result = result_of(tmp_path)

    assert ended.status in (0, 4)
    assert (result["privacy"]["epsilon"], result["n_rows"]) == (8.0, None)
    assert result["privacy"]["bootstrap_draws"] in (0, 1, 2)
    assert {s["release_set"] for s in result["sites"]} == {"canonical"}
    assert "include the noise" in " ".join(ended.out.split())
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    # 60 rows a site and 240 in all: told by no file, and by no output.
    read = [p for p in kept if p.suffix in (".json", ".toml")]
    told = [p for p in read if exact_counts(p.read_text())]
    assert {p.name for p in kept} >= {"result.json", "estimates.json", "run.json"}
    assert (told, [p for p in kept if p.name == "fit_check.json"]) == ([], [])
    assert exact_counts(ended.out + ended.err) == []
    assert exact_counts('"n_rows": 240, 60') == ["240", "60"]
