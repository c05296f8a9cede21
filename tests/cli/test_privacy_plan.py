"""The planner: from declared columns to tables, JSON and a page."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from benchmarks.noise.one import study_of
from fedglmm_flower.study import Column, write_study
from tests.command import fedglmm

ROWS = ("--rows", "400,900,1200")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Four covariates and a public anchor."""
    path = tmp_path_factory.mktemp("plan") / "study.toml"
    write_study(study_of("public", 2, 0.0), path)
    return path


@pytest.fixture(scope="module")
def page(study):
    """The page for two epsilons, and the JSON beside it."""
    path = study.with_name("plan.html")
    options = (*ROWS, "--epsilon", "1,3", "--html", path, "--json")
    ended = fedglmm("privacy", "plan", study, *options)
    assert ended.status == 0
    return path, json.loads(ended.out)


def terms_of(plan, epsilon, name):
    """Growth of standard errors, by term."""
    choice = next(c for c in plan["choices"] if c["epsilon"] == epsilon)
    one = next(s for s in choice["sets"] if s["set"] == name)
    return {term["name"]: term["inflation"] for term in one["terms"]}


def test_the_plan_tells_what_the_simulation_found(study):
    """
    Next to the table of docs/privacy.md, within 20 %.

    The plan cannot know that the 0/1 columns are rarer than one in two.
    """
    options = ("--rows", ",".join(["1000"] * 20), "--epsilon", "1", "--json")
    plan = json.loads(fedglmm("privacy", "plan", study, *options).out)
    found = terms_of(plan, 1.0, "public:2")
    simulated = {"Intercept": 1.12, "x1": 1.52, "x2": 1.56, "b1": 1.86, "b2": 1.96}
    for name, grown in simulated.items():
        assert found[name] == pytest.approx(grown, rel=0.2)


def test_lights_follow_rows_and_epsilon(page):
    """More rows and more epsilon never make a standard error grow, up to 5,000 rows."""
    _, plan = page
    grid = {(c["rows"], c["epsilon"]): c for c in plan["grid"]}
    sizes = [n for n in sorted({n for n, _ in grid}) if n <= 5000]
    for epsilon in (1.0, 3.0):
        grown = [grid[n, epsilon]["largest_inflation"] for n in sizes]
        assert grown == sorted(grown, reverse=True)
    assert all(
        grid[n, 3.0]["largest_inflation"] < grid[n, 1.0]["largest_inflation"]
        for n in sizes
    )
    assert grid[100, 1.0]["light"] == "red"
    assert grid[100, 1.0]["useless"] is True
    assert grid[5000, 3.0]["light"] == "green"


def test_the_best_set_is_that_of_the_least_total_error(page):
    """First moments alone are dear although they carry the least noise."""
    _, plan = page
    for choice in plan["choices"]:
        totals = {one["set"]: one["mean_total"] for one in choice["sets"]}
        assert totals[choice["best"]] == min(totals.values())
        assert totals["canonical:2"] < totals["canonical:1"]
        assert totals["public:2"] < totals["canonical:2"]


def test_replace_one_takes_twice_the_noise(study, page):
    """The relation is part of the price."""
    _, plan = page
    options = (*ROWS, "--epsilon", "1", "--relation", "replace_one", "--json")
    dear = json.loads(fedglmm("privacy", "plan", study, *options).out)
    noise = dear["choices"][0]["noise_in_patients"]
    assert noise == pytest.approx(2 * plan["choices"][0]["noise_in_patients"])
    assert terms_of(dear, 1.0, "public:2")["b1"] > terms_of(plan, 1.0, "public:2")["b1"]


def test_the_table_fits_the_terminal(study):
    """Odds, noise in patients, and a grid."""
    shown = fedglmm("privacy", "plan", study, *ROWS, "--epsilon", "1")
    text = " ".join(shown.out.split())
    assert "at most 73 % sure" in text
    assert "blurred by 4.5 of the largest records" in text
    assert "no row was read" in text
    assert max(map(len, shown.out.splitlines())) <= 88


@pytest.mark.parametrize(
    "wrong",
    [
        ("--rows", "many"),
        ("--rows", "0"),
        ("--rows", "1.5"),
        ("--rows", "400", "--epsilon", "0"),
        ("--rows", "400", "--epsilon", "x"),
        ("--rows", "400", "--relation", "none"),
        ("--rows", "400", "--delta", "2"),
    ],
    ids=" ".join,
)
def test_wrong_options_are_usage_errors(study, wrong):
    """One line that names what is wrong."""
    ended = fedglmm("privacy", "plan", study, *wrong)
    assert (ended.status, ended.line[0]) == (2, "usage")
    assert wrong[-2].lstrip("-") in ended.line[1]


def test_a_column_without_bounds_is_told(tmp_path):
    """Noise is scaled by what is declared."""
    asked = study_of("public", 2, 0.0)
    columns = (Column("x1", "continuous"), *asked.columns[1:])
    write_study(replace(asked, columns=columns), tmp_path / "study.toml")
    ended = fedglmm("privacy", "plan", tmp_path / "study.toml", *ROWS)
    assert ended.status == 2
    assert "'x1'" in ended.line[1]


def test_the_page_holds_the_plan_and_nothing_from_elsewhere(page):
    """Self-contained: no address, and data that cannot end their element."""
    path, plan = page
    text = path.read_text()
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert not re.findall(r"(?:src|href|url)\s*[=(]", text)
    data = text.split('type="application/json">')[1].split("</script>")[0]
    assert "<" not in data
    assert json.loads(data) == plan


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_slider_moves_the_tables_in_a_browser(page, tmp_path):
    """In headless Chromium, before and after the slider is moved."""
    path, _ = page
    move = (
        "<script>const s=document.getElementById('epsilon');s.value=0;"
        "s.dispatchEvent(new Event('input'));</script>"
    )
    found = []
    for k, extra in enumerate(("", move)):
        copy = tmp_path / f"page{k}.html"
        copy.write_text(path.read_text().replace("</body>", extra + "</body>"))
        ended = subprocess.run(
            [
                str(CHROMIUM),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--dump-dom",
                copy.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        found.append(ended.stdout)
    first, moved = found
    assert 'id="value">3</output>' in first
    assert "95 % sure" in first
    assert 'id="value">1</output>' in moved
    assert "73 % sure" in moved
    for dom in found:
        assert dom.count("<tr") == 2 + 6 + 8
        assert 'class="red' in dom
