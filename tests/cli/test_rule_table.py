"""What an officer is shown: every rule with its threshold and the worst value found."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.site import FrameSource, Policy, read_site_config
from fedglmm_flower.site.answer import answer
from fedglmm_flower.site.gate import inspect
from fedglmm_flower.site.rule_table import RULES, rule_table
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study import read_study, write_study
from tests.command import fedglmm
from tests.site.conftest import ask, patients

STUDY = ask("died ~ age + female + stage + (1 | hospital)", "binomial", order=2)


def lines_of(frame, policy, study=STUDY):
    """The table of a site, by rule."""
    moments = summarise(study, FrameSource(frame), site="north")
    findings = inspect(study.model, moments, study.statistics(2), policy)
    return {line.rule: line for line in rule_table(findings, policy)}, findings


def site_of(folder, frame, more=""):
    """A site.toml and its table."""
    frame.to_csv(folder / "table.csv", index=False)
    path = folder / "site.toml"
    path.write_text(
        f'format = 1\nsite = "north"\n[data]\npath = "table.csv"\n{more}'
        '[keys]\nidentity = "n.key"\ncoordinator = "c.pub"\n'
    )
    return path


def study_of(folder, formula, name="study.toml"):
    """A study of two sites, drafted from the table."""
    frame = pd.read_csv(folder / "table.csv")
    both = frame.assign(hospital=np.where(frame.index % 2, "north", "south"))
    both.to_csv(folder / "all.csv", index=False)
    asked = ("--formula", formula, "--family", "binomial", "--order", 2)
    drafted = fedglmm(
        "study", "init", folder / "all.csv", *asked, "--out", folder / name
    )
    assert drafted.status == 0, drafted.err
    return folder / name


def test_every_finding_is_counted_under_its_rule():
    """No rule of the gate is missing from the table."""
    frame = patients(400).assign(weight=1.0)
    study = ask("died ~ age + female + stage", "binomial", weights="weight", order=2)
    lines, findings = lines_of(frame, Policy(), study)

    assert {f.rule for f in findings} <= {rule for rule, *_ in RULES}
    assert list(lines) == [rule for rule, *_ in RULES if rule != "differencing"]
    assert sum(line.judged for line in lines.values()) == len(findings)
    assert {line.outcome for line in lines.values()} == {"passes"}


def test_the_worst_value_is_the_one_nearest_to_its_threshold():
    """Counts from below, shares from above; what is refused is beyond it."""
    frame = patients(400)
    smallest = int(frame.groupby(["female", "stage"]).size().min())
    lines, _ = lines_of(frame, Policy(min_cell=smallest + 1, max_leverage=0.01))

    assert lines["minimum-rows"].worst == "400"
    assert (lines["cells"].worst, lines["cells"].failed) == (str(smallest), 1)
    assert lines["cells"].required == f"at least {smallest + 1} or none"
    assert lines["cells"].outcome == lines["leverage"].outcome == "refuses"
    assert lines["leverage"].required == "at most 1%"
    assert lines["values"].outcome == "passes"


def test_a_warning_is_no_refusal():
    """Unless the officer makes it one."""
    frame = patients(400)
    frame.loc[frame.stage == "II", "died"] = 1
    lines, _ = lines_of(frame, Policy())
    assert lines["group-disclosure"].outcome == "passes, warns"
    lines, _ = lines_of(frame, Policy(one_outcome="refuse"))
    assert lines["group-disclosure"].outcome == "refuses"


@pytest.mark.parametrize("unit", [False, True])
def test_a_preview_tells_the_rule_here_and_a_code_outside(tmp_path, unit):
    """Which rule, level and count refused stays; a fixed sentence is what is told."""
    who = np.r_[np.arange(40) // 20, 2 + np.arange(600) // 3]
    frame = patients(640).assign(pid=who, female=(who < 2).astype(int))
    path = site_of(tmp_path, frame, 'unit = "pid"\n' * unit)
    study = study_of(tmp_path, "died ~ age + female + (1 | hospital)")
    text = fedglmm("site", "preview", path, "--study", study)
    ended = fedglmm("site", "preview", path, "--study", study, "--json")
    plain = json.loads(ended.out)
    table = {line["rule"]: line for line in plain["rule_table"]}

    # Two patients with twenty visits each: forty rows pass, two patients do not.
    assert table["cells"]["worst"] == ("2" if unit else "40")
    assert table["cells"]["outcome"] == ("refuses" if unit else "passes")
    assert plain["n_units"] == (202 if unit else None)
    assert plain["policy"] == "not signed"
    outside = "disclosure-refused: this site's disclosure policy refused the summary"
    assert (plain["outside"] == outside) is unit
    assert (outside in text.out) is unit
    assert ("in a cell of female, at least 5 required (merge" in text.out) is unit
    assert ("its levels): female = 1" in text.out) is unit
    assert ended.status == (3 if unit else 0)
    assert "female = 1" not in ended.err


def test_a_preview_looks_back_at_earlier_answers(tmp_path):
    """Three rows between two studies are shown before anything is sent."""
    frame = patients(400)
    frame.loc[:2, "cost"] = np.nan
    frame.loc[:2, "died"] = 1
    path = site_of(tmp_path, frame)
    one = study_of(tmp_path, "died ~ age + (1 | hospital)")
    two = study_of(tmp_path, "died ~ age + cost + (1 | hospital)", "two.toml")
    here = read_site_config(path)

    def line(study):
        ended = fedglmm("site", "preview", path, "--study", study, "--json")
        rules = {row["rule"]: row for row in json.loads(ended.out)["rule_table"]}
        return rules["differencing"]

    assert line(two)["worst"] == "none"
    answer(read_study(one), here.source, here.policy, site="north", memory=here.memory)
    assert (line(two)["worst"], line(two)["outcome"]) == ("3", "refuses")
    assert line(two)["required"] == "at least 5 or none"
    assert line(one)["outcome"] == "passes"


def test_a_preview_says_how_much_may_be_asked_afterwards(tmp_path):
    """Of a thousand approved points those that the values of the rows allow."""
    path = site_of(tmp_path, patients(400))
    drafted = study_of(tmp_path, "died ~ age + female + (1 | hospital)")
    write_study(replace(read_study(drafted), rounds=1000), tmp_path / "more.toml")
    more = ("site", "preview", path, "--study", tmp_path / "more.toml")
    shown = json.loads(fedglmm(*more, "--json").out)
    told = len(shown["statistics"])
    allowed = (400 * 3 // 5 - told) // 15

    assert shown["further"] == {
        "rounds": 1000, "numbers": 15, "allowed": allowed, "answered": 0,
    }  # fmt: skip
    text = " ".join(fedglmm(*more).out.split())
    assert "up to 1000 likelihoods of 15 numbers each" in text
    assert f"by values_per_number {allowed} of them are answered" in text
    assert "WARNING many of them may tell how many rows have each whole number" in text
    once = fedglmm("site", "preview", path, "--study", drafted, "--json").out
    assert json.loads(once)["further"] is None
