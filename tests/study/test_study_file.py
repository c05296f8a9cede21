"""``study.toml`` and canonical bytes: one question, one digest; strangers' files."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study import Column, parse_study, read_study, write_study
from fedglmm_flower.study.file import MAX_BYTES, study_toml
from tests.study.conftest import GUSTO, small

FULL = small(
    "cbind(z, n - z) ~ x*f + log(e) + offset(log(e)) + (1 | hospital)",
    "binomial",
    weights="w",
    scales=(("log(e)", 0.25, 1.5),),
    order=3,
)


WARDS = small(
    "y ~ x + (1 | hospital/clinic) + (0 + x | site:clinic:ward)",
    clusters=("clinic", "ward"),
)


@pytest.mark.parametrize("study", [GUSTO, FULL, WARDS], ids=["gusto", "full", "wards"])
def test_bytes_and_file_give_the_study_back(study, tmp_path):
    """Whichever way a study travels, its digest stays."""
    write_study(study, tmp_path / "study.toml")

    assert parse_study(study.canonical_bytes) == study
    assert read_study(tmp_path / "study.toml") == study
    assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]


def test_the_digest_is_of_the_content():
    """A release says by it what it answers, so it must not move between versions."""
    expected = "8c27f5a33b51fdd027763bcfd310d9264ebd1fd7c05556a1f75d92b3dbe19401"

    assert GUSTO.digest == expected
    assert GUSTO.digest != replace(GUSTO, order=3).digest


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
).filter(str.strip)
LEVELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
FLOATS = st.floats(-1e9, 1e9)


@given(
    name=NAMES,
    unit=LEVELS,
    sites=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    levels=st.lists(LEVELS, min_size=2, max_size=5, unique=True),
    low=st.none() | FLOATS,
    center=FLOATS,
    scale=st.floats(1e-9, 1e9),
)
def test_any_names_and_constants_survive_the_file(
    tmp_path_factory, name, unit, sites, levels, low, center, scale
):
    """Quotes, blanks, controls and foreign letters are text like any other."""
    study = small(
        "y ~ x + f",
        name=name,
        sites=tuple(sorted(sites)),
        columns=(
            Column("f", "categorical", tuple(levels), unit=unit),
            Column("x", "continuous", low=low, center=center, scale=scale),
            Column("y", "continuous"),
        ),
    )
    path = tmp_path_factory.mktemp("study") / "study.toml"
    write_study(study, path)

    assert read_study(path).digest == study.digest
    assert parse_study(study.canonical_bytes) == study


def test_constants_that_a_file_leaves_out_follow_from_its_bounds(tmp_path):
    """Bounds stand at about two standard deviations of the middle."""
    path = tmp_path / "study.toml"
    path.write_text(
        'format = 1\nname = "s"\nformula = "y ~ x"\nfamily = "gaussian"\n'
        'sites = ["b", "a"]\n[columns.y]\nkind = "continuous"\n'
        '[columns.x]\nkind = "continuous"\nbounds = [0, 100]\n'
    )
    study = read_study(path)

    assert study.columns[0] == Column(
        "x", "continuous", low=0.0, high=100.0, center=50.0, scale=25.0
    )
    assert (study.sites, study.method, study.order) == (("a", "b"), "reml", 4)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b + b"\n",
        lambda b: b" " + b,
        lambda b: b.replace(b'["canonical:4"', b'[ "canonical:4"'),
        lambda b: b.replace(b'"format":1', b'"format":true'),
        lambda b: b.replace(b'"scale":1.2', b'"scale":1.20'),
        lambda b: b.replace(b'"sites":["1","2"]', b'"sites":["2","1"]'),
        lambda b: b.replace(b'"name":"gusto"', b'"name":"gusto","name":"gusto"'),
        lambda b: b.replace(b'"name":"gusto"', b'"name":"\\u0067usto"'),
        lambda b: b.replace(b'"name":"gusto"', b'"name":"\\ud800"'),
        lambda b: b.decode().encode("utf-16"),
        lambda b: b[:-1],
        lambda b: b"",
        lambda b: b"\xff",
        lambda b: b"null",
        lambda b: b"[]",
        lambda b: b"[" * 100_000,
        lambda b: b"1" * 10_000,
        lambda b: b" " * (MAX_BYTES + 1),
    ],
)
def test_bytes_other_than_the_canonical_ones_are_refused(change):
    """Two spellings of one study would have two digests."""
    changed = change(GUSTO.canonical_bytes)

    assert changed != GUSTO.canonical_bytes
    with pytest.raises(StudyError, match="study: "):
        parse_study(changed)


HUGE = 10**400
FOUR = ("age10", "pulse10", "sysbp10", "log(age10)")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 2),
        (["format"], None),
        (["name"], 1),
        (["name"], ""),
        (["name"], "a\nb"),
        (["formula"], None),
        (["formula"], "y"),
        (["formula"], "day30 ~ nowhere"),
        (["formula"], "day30 ~ (age10 + hf + pmi)**99"),
        (["formula"], "day30 ~ " + ":".join(f"I({x}**12)" for x in FOUR)),
        (["formula"], "day30 ~ " + "I(" * 500 + "age10" + ")" * 500),
        (["formula"], "day30 ~ " + "age10 + " * 3000 + "hf"),
        (["formula"], "day30 ~ age10 + (1 | grpl/age10)"),
        (["formula"], "day30 ~ age10 + (1 | grpl/ward)"),
        (["formula"], "day30 ~ age10 + (1 | ward)"),
        (["formula"], "day30 ~ age10 + (1 | grpl) + (1 | site)"),
        (["formula"], "pmi ~ age10 + I(hf - 1)"),
        (["family"], "normal"),
        (["family"], "gamma"),
        (["link"], "identity"),
        (["link"], "cauchit"),
        (["method"], "reml"),
        (["method"], "aghq:0"),
        (["method"], "aghq:102"),
        (["method"], "aghq:²"),
        (["method"], "aghq:" + "9" * 5000),
        (["trials"], "nowhere"),
        (["trials"], "pmi"),
        (["weights"], "eval('1')"),
        (["offset"], "scale(age10)"),
        (["surprise"], 1),
        (["release", "set"], "joint"),
        (["release", "order"], 0),
        (["release", "order"], 7),
        (["release", "order"], "4"),
        (["release", "order"], True),
        (["release", "order"], HUGE),
        (["sites"], "12"),
        (["sites"], [1, 2]),
        (["sites"], ["1", "1"]),
        (["sites"], ["1", " "]),
        (["sites"], ["1", "a\x00"]),
        (["sites"], ["1", "a" * 201]),
        (["columns"], []),
        (["columns", "hf"], None),
        (["columns", "hf", "kind"], "text"),
        (["columns", "hf", "kind"], "categorical"),
        (["columns", "hf", "extra"], 1),
        (["columns", "age10", "levels"], ["a", "b"]),
        (["columns", "age10", "bounds"], [2, 1]),
        (["columns", "age10", "bounds"], [1, 1]),
        (["columns", "age10", "bounds"], [1]),
        (["columns", "age10", "bounds"], ["0", "1"]),
        (["columns", "age10", "bounds"], [True, 2]),
        (["columns", "age10", "bounds"], [float("nan"), 2]),
        (["columns", "age10", "bounds"], [0, HUGE]),
        (["columns", "age10", "center"], "6"),
        (["columns", "age10", "center"], float("nan")),
        (["columns", "age10", "center"], float("inf")),
        (["columns", "age10", "center"], HUGE),
        (["columns", "age10", "scale"], 0),
        (["columns", "age10", "scale"], -1.0),
        (["columns", "age10", "scale"], True),
        (["columns", "age10", "scale"], float("nan")),
        (["columns", "pmi", "levels"], ["no", "no"]),
        (["columns", "pmi", "levels"], ["no"]),
        (["columns", "pmi", "levels"], ["no", 1]),
        (["columns", "pmi", "levels"], [str(i) for i in range(1001)]),
        (["atoms", "log(age10)"], {"center": 0}),
        (["atoms", "log(age10)"], {"center": 0, "scale": 0}),
        (["atoms", "log(age10)"], {"center": "0", "scale": 1}),
        (["atoms", "eval(age10)"], {"center": 0, "scale": 1}),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_hostile_study_ends_in_a_clear_refusal(path, value):
    """Wrong types, numbers that are none, sizes that are absurd."""
    plain = json.loads(GUSTO.canonical_bytes)
    inner = plain
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    data = json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()

    with pytest.raises(StudyError, match="; "):
        parse_study(data)


def test_a_constant_that_overflows_in_a_power_is_refused():
    """Never an infinite coefficient, never an OverflowError."""
    study = small(
        "y ~ I(x**6)",
        columns=(
            Column("x", "continuous", center=1e200),
            Column("y", "continuous"),
        ),
    )
    with pytest.raises(StudyError, match="overflows"):
        parse_study(study.canonical_bytes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["low", "high", "center", "scale"])
def test_a_column_has_finite_constants(field, value):
    """Else the study could not be written."""
    with pytest.raises(StudyError, match="finite"):
        Column("x", "continuous", **{field: value})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbfx = 1", "begins with a byte order mark: save it as UTF-8"),
        (b"x = ", "no valid TOML"),
        (b"\xff\xfe", "no UTF-8"),
        (b"", "format None"),
        (b"format = 1", "problem(s) in all"),
        (study_toml(GUSTO).replace("1.2", "nan").encode(), "finite number"),
        (study_toml(GUSTO).replace('["1", "2"]', '["1", "1"]').encode(), "twice"),
        (study_toml(GUSTO).encode() + b'[columns.hf]\nkind = "binary"\n', "TOML"),
    ],
)
def test_a_file_that_is_no_study_is_refused_with_its_name(tmp_path, content, says):
    """The message tells which file, what is wrong and what to do."""
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"mine\.toml|study: ") as caught:
        read_study(path)

    assert says in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """With the command that makes a study."""
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(StudyError, match="fedglmm study init"):
            read_study(path)


def test_trials_belong_to_the_binomial_family():
    """Elsewhere they would be ignored in silence."""
    with pytest.raises(StudyError, match="trials with family poisson"):
        small("z ~ x", "poisson", trials="n")
