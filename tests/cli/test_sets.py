"""Sets with other products on the command line: drafted, counted, previewed, run."""

import json

import pytest

from fedglmm_flower.site import Policy
from fedglmm_flower.study import read_study
from tests.command import fedglmm
from tests.coordinator.questions import table_of

ASKED = ("--formula", "y ~ a + b + c + h + (1 | site)", "--family", "binomial")


@pytest.fixture
def data(tmp_path, rng):
    """Four sites of 260 rows."""
    path = tmp_path / "data.csv"
    table_of("binomial", rng, n=260).to_csv(path, index=False)
    return path


@pytest.fixture
def study_file(tmp_path, data):
    """A drafted study that asks for pairs."""
    path = tmp_path / "study.toml"
    ended = fedglmm(
        "study", "init", data, *ASKED, "--release-set", "anchored-pairs",
        "--order", "4", "--out", path,
    )  # fmt: skip
    assert ended.status == 0, ended.err
    return path


def test_check_counts_each_set_and_those_around_it(study_file):
    """Numbers, rows and cells of what is accepted, and of what might have been."""
    study = read_study(study_file)
    plain = json.loads(fedglmm("study", "check", study_file, "--json").out)
    text = fedglmm("study", "check", study_file).out
    accepted = [(need["set"], need["order"]) for need in plain["orders"]]
    around = [(need["set"], need["order"]) for need in plain["around"]]
    assert accepted == list(study.offers)
    assert accepted[:2] == [("anchored-pairs", 4), ("anchored", 3)]
    assert {("anchored", 4), ("anchored-tables", 3), ("anchored-pairs", 5)} <= set(
        around
    )
    assert not set(accepted) & set(around)
    for need in plain["orders"] + plain["around"]:
        count = len(study.statistics(need["order"], need["set"]))
        assert need["statistics"] == count
        assert need["rows"] == max(Policy.min_rows, 3 * count)
        assert need["cells"].startswith("rows: ")
        assert f"{need['set']}:{need['order']}" in text
        assert str(need["rows"]) in text


def site_file(folder, data, rows=260):
    """A site.toml and its table."""
    lines = data.read_text().splitlines()
    here = [line for line in lines[1:] if line.startswith("north,")][:rows]
    (folder / "site.csv").write_text("\n".join([lines[0], *here]) + "\n")
    path = folder / "site.toml"
    path.write_text(
        'format = 1\nsite = "north"\n[data]\npath = "site.csv"\n'
        '[keys]\nidentity = "site.key"\ncoordinator = "coordinator.pub"\n'
    )
    return path


@pytest.mark.parametrize(("rows", "sent"), [(260, 0), (200, 1)])
def test_a_preview_names_the_set_that_would_leave(
    rows, sent, study_file, data, tmp_path
):
    """The first that passes; a site of fewer rows falls back to the plain order."""
    study = read_study(study_file)
    counts = [len(study.statistics(order, name)) for name, order in study.offers]
    assert 3 * counts[1] <= 200 < 3 * counts[0] <= 260
    path = site_file(tmp_path, data, rows)
    seen = json.loads(
        fedglmm("site", "preview", path, "--study", study_file, "--json").out
    )
    text = fedglmm("site", "preview", path, "--study", study_file).out
    name, order = study.offers[sent]

    assert (seen["release_set"], seen["order"]) == (name, order)
    assert len(seen["statistics"]) == counts[sent]
    assert f"{name} set, order {order} (anchored-pairs, order 4 asked)" in text


def test_a_simulation_takes_the_name(data, tmp_path):
    """By option as by study; what the policy lowers is said."""
    ended = fedglmm(
        "simulate", data, *ASKED, "--release-set", "anchored-tables", "--order", "2",
        "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    result = json.loads(ended.out)

    assert ended.status == 0
    assert {s["release_set"] for s in result["sites"]} == {"anchored-tables"}
    assert read_study(tmp_path / "run" / "study.toml").offers[0] == (
        "anchored-tables",
        2,
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--release-set", "anchored-triples"),
        ("--release-set", "joint-pairs"),
        ("--release-set", "canonical-pairs", "--order", "1"),
    ],
)
def test_what_is_no_set_is_refused_in_one_line(options, data, tmp_path):
    """Names that do not exist, and pairs without pairs."""
    ended = fedglmm("simulate", data, *ASKED, *options, "--out", tmp_path / "run")

    assert ended.status == 2
    assert ended.line[0] in ("usage", "study-invalid")
    assert not (tmp_path / "run").exists()
