"""What used to give a number that nobody should believe gives a word instead."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower import glmm
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm.summary import summary
from fedglmm_flower.glmm.verdict import Verdict
from tests.command import (
    OPEN,
    put,
    question,
    refused,
    result_of,
    simulate,
    small_table,
)

H = "(1 | hospital)"


def changed(column, value, rows=(3,)):
    """The table with some cells of a numeric column changed."""
    table = small_table().astype({column: float})
    table.loc[list(rows), column] = value
    return table


# table, formula, family, options, code of the error, words
ASKED = {
    "response explains itself": (
        small_table(), f"y ~ x + y + {H}", "gaussian", {}, "formula", "'y' also stands",
    ),
    "a power of the response": (
        small_table(), f"y ~ I(y**2) + {H}", "gaussian", {}, "formula", "'y' also",
    ),
    "response in an interaction": (
        small_table(), f"e ~ x:e + {H}", "binomial", {}, "formula", "'e' also stands",
    ),
    "response as a slope": (
        small_table(), "y ~ x + (y | hospital)", "gaussian", {}, "formula", "'y' also",
    ),
    "response as offset": (
        small_table(), f"c ~ x + offset(c) + {H}", "poisson", {}, "formula", "'c' also",
    ),
    "response as weights": (
        small_table(), f"c ~ x + {H}", "poisson", {"weights": "c"}, "formula", "'c' a",
    ),
    "response as group": (
        small_table(), "c ~ x + (1 | c)", "poisson", {}, "formula", "'c' also stands",
    ),
    "site as fixed effect": (
        small_table(), f"y ~ hospital + {H}", "gaussian", {}, "formula", "told apart",
    ),
    "column called Intercept": (
        small_table().assign(Intercept=lambda t: t.x), f"y ~ Intercept + {H}",
        "gaussian", {}, "formula", "same name",
    ),
    "column called by a number": (
        small_table().rename(columns={"x": "1"}), f"y ~ `1` + {H}", "gaussian", {},
        "formula", "a number for a name",
    ),
    "as.factor": (
        small_table(), f"y ~ as.factor(g) + {H}", "gaussian", {}, "formula", "C(column",
    ),
    "factor": (
        small_table(), f"y ~ factor(g) + {H}", "gaussian", {}, "formula", "--levels",
    ),
    "all columns": (
        small_table(), f"y ~ . + {H}", "gaussian", {}, "formula", "all columns",
    ),
    "identifier as factor": (
        small_table().assign(code=[f"p{i}" for i in range(240)]), f"e ~ code + {H}",
        "binomial", {}, "data", "240 different texts in 240 rows",
    ),
    "dates as factor": (
        small_table().assign(day=pd.date_range("2020", periods=240).astype(str)),
        f"y ~ day + {H}", "gaussian", {}, "data", "write a date as a number",
    ),
    "numbers beyond squares": (
        small_table().assign(x=lambda t: np.exp(np.abs(t.x) * 40)), f"e ~ x + {H}",
        "binomial", {}, "data", "too large to be squared",
    ),
    "exposure given for its logarithm": (
        changed("expo-sure", 1e6), f"c ~ x + {H}", "poisson",
        {"offset": "expo-sure"}, "data", "log(exposure)",
    ),
    "logarithm of no exposure": (
        changed("expo-sure", 0.0), f"c ~ x + {H}", "poisson",
        {"offset": "log(`expo-sure`)"}, "data", "infinite or undefined",
    ),
    "infinite offset": (
        changed("expo-sure", np.inf), f"c ~ x + {H}", "poisson",
        {"offset": "expo-sure"}, "data", "infinite number",
    ),
    "every trial an event": (
        small_table().assign(k=lambda t: t["n of trials"]), f"k ~ x + {H}", "binomial",
        {"trials": "n of trials"}, "data", "every trial of every complete row",
    ),
    "no trial at all": (
        small_table().assign(**{"n of trials": 0, "k": 0}), f"k ~ x + {H}", "binomial",
        {"trials": "n of trials"}, "data", "is constant over all sites",
    ),
    "no event where rows are complete": (
        small_table().assign(x=lambda t: t.x.where(t.c == 0)), f"c ~ x + {H}",
        "poisson", {}, "data", "no complete row has an event",
    ),
    "negative trials": (
        changed("n of trials", -1), f"k ~ x + {H}", "binomial",
        {"trials": "n of trials"}, "data", "negative number of trials",
    ),
    "no weight at all": (
        small_table().assign(**{"expo-sure": 0.0}), f"c ~ x + {H}", "poisson",
        {"weights": "expo-sure"}, "data", "of positive weight",
    ),
    "weights not a number": (
        small_table().assign(**{"expo-sure": np.nan}), f"c ~ x + {H}", "poisson",
        {"weights": "expo-sure"}, "data", "has no value",
    ),
    "square of a large year": (
        small_table().assign(x=lambda t: t.x + 1e8), f"e ~ x + I(x**2) + {H}",
        "binomial", {}, "fit", "subtract a constant",
    ),
    "more coefficients than rows": (
        small_table().iloc[[0, 1, 61, 62, 122, 183]], f"y ~ x + b + c + k + g + {H}",
        "gaussian", {}, "fit", "",
    ),
    "response of three levels": (
        small_table(), f"g ~ x + {H}", "binomial", {}, "study", "with 3 levels",
    ),
    "response coded 1 and 2": (
        small_table().assign(e=lambda t: t.e + 1), f"e ~ x + {H}", "binomial", {},
        "data", "code the event as 1",
    ),
    "each row a cluster": (
        small_table().assign(hospital=[f"r{i:03}" for i in range(240)]),
        f"y ~ x + {H}", "gaussian", {}, "fit", "240 effects for 240 rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_both_doors_refuse_in_one_line(case, tmp_path):
    """`glmm.fit` and `simulate` say the same of a question that makes no sense."""
    table, formula, family, options, code, words = ASKED[case]
    flags = [part for k, v in options.items() for part in (f"--{k}", v)]
    codes = {"formula": "formula-invalid", "study": "study-invalid",
             "data": "data-invalid", "fit": "fit-impossible"}  # fmt: skip

    with pytest.raises(FedglmmError) as caught:
        glmm.fit(formula, table, family=family, **options)
    ended = simulate(tmp_path, table, *question(formula, family), *OPEN, *flags)

    assert caught.value.code == codes[code]
    assert words in caught.value.detail
    refused(ended, 2, codes[code], words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("family", "link", "response"),
    [
        ("binomial", "logit", "e"),
        ("binomial", "probit", "e"),
        ("binomial", "cloglog", "e"),
        ("poisson", "log", "c"),
        ("nbinom2", "log", "c"),
    ],
)
@pytest.mark.parametrize("random", ["", f" + {H}"])
@pytest.mark.parametrize(
    ("level", "runs"),
    [("v", {"g[T.v]"}), ("u", {"Intercept", "g[T.v]", "g[T.w]"})],
)
def test_what_diverges_has_no_standard_error(
    family, link, response, random, level, runs
):
    """A level without events: its coefficients are named and have no error at all."""
    table = small_table()
    table[response] *= table.g != level

    fit = glmm.fit(f"{response} ~ x + g{random}", table, family=family, link=link)

    rows = {row["name"]: row for row in fit.to_dict()["fixed"]}
    assert Verdict.SEPARATION in fit.verdicts
    assert set(fit.diverging) == runs
    for name, row in rows.items():
        numbers = [row[key] for key in ("se", "z", "p", "ci_low", "ci_high")]
        assert (numbers == [None] * 5) == (name in runs)
    (told,) = [text for text in fit.warnings if "Separation" in text]
    assert all(name in told for name in runs)
    line = next(t for t in summary(fit).splitlines() if t.startswith(" g[T.v]"))
    assert line.split()[2:] == ["-", "-", "-"]


def test_a_diverging_coefficient_is_a_dash_in_the_summary(tmp_path):
    """Status 4, null in JSON, a dash in the printed table, and its name above it."""
    table = small_table().assign(e=lambda t: t.e * (t.g != "v"))

    ended = simulate(tmp_path, table, *question(f"e ~ x + g + {H}", "binomial"), *OPEN)

    row = next(r for r in result_of(tmp_path)["fixed"] if r["name"] == "g[T.v]")
    assert ended.status == 4
    assert [row[k] for k in ("se", "z", "p", "ci_low", "approx_error")] == [None] * 5
    line = next(t for t in ended.out.splitlines() if t.startswith(" g[T.v]"))
    assert line.split()[2:5] == ["-", "-", "-"]
    assert "Without a finite estimate: g[T.v]" in " ".join(ended.out.split())


def test_a_level_without_events_at_one_site_is_ordinary(tmp_path):
    """Other sites tell what the level does: converged, status 0."""
    here = "e ~ x + g + (1 | hospital)"
    table = small_table()
    table["e"] *= ~((table.g == "v") & (table.hospital == "a"))

    assert glmm.fit(here, table, family="binomial").converged
    assert simulate(tmp_path, table, *question(here, "binomial"), *OPEN).status == 0


def test_separation_that_moments_cannot_show_is_told(tmp_path):
    """A fit whose probabilities reach 0 and 1 says that it may have no maximum."""
    table = small_table().assign(e=lambda t: (t.x > 5).astype(int))

    simulate(tmp_path, table, *question(f"e ~ x + {H}", "binomial"), *OPEN)

    warnings = result_of(tmp_path)["diagnostics"]["warnings"]
    assert any("probabilities reach 0 or 1" in text for text in warnings)


@pytest.mark.parametrize(
    ("table", "formula", "family", "trials"),
    [
        (put("c", 1.5), f"c ~ x + {H}", "poisson", None),
        (put("c", 1.5), f"c ~ x + {H}", "nbinom2", None),
        (put("e", 0.5), f"e ~ x + {H}", "binomial", None),
        (put("n of trials", 9.5), f"k ~ x + {H}", "binomial", "n of trials"),
    ],
)
def test_fractions_of_counts_are_told_once(table, formula, family, trials):
    """Pooled data may hold them, so the fit stands; it says so in one warning."""
    fit = glmm.fit(formula, table, family=family, trials=trials)

    assert fit.converged
    assert fit.verdicts.count(Verdict.FRACTIONAL_RESPONSE) == 1
    assert sum("no whole numbers" in text for text in fit.warnings) == 1
    assert "FRACTIONAL_RESPONSE" in summary(fit)


def test_whole_counts_are_not_doubted():
    """Ordinary data carry no such warning, weights and offsets or not."""
    fit = glmm.fit(f"c ~ x + {H}", small_table(), family="poisson", weights="expo-sure")

    assert fit.verdicts == (Verdict.CONVERGED,)
    assert fit.warnings == []


def test_more_effects_than_rows_are_refused():
    """Eight rows do not determine twelve random effects, whatever the family."""
    table = small_table().groupby("hospital").head(2)

    for family, response in (("binomial", "e"), ("poisson", "c"), ("gaussian", "y")):
        with pytest.raises(FedglmmError, match="12 effects for 8 rows"):
            glmm.fit(f"{response} ~ 1 + (1 + x + g | hospital)", table, family=family)


@pytest.mark.parametrize("scale", [1e8, 1e-8])
@pytest.mark.parametrize(
    ("formula", "family"),
    [
        (f"y ~ x + g + {H}", "gaussian"),
        ("y ~ x + g + (x | hospital)", "gaussian"),
        (f"e ~ x + g + {H}", "binomial"),
        (f"c ~ x + g + {H}", "poisson"),
    ],
)
def test_units_of_a_predictor_do_not_matter(formula, family, scale):
    """A predictor in 1e-8 or 1e8 of its unit has that coefficient and no other."""
    table = small_table()
    far = table.assign(x=table.x * scale)

    one, two = (glmm.fit(formula, t, family=family) for t in (table, far))

    unit = np.array([1.0 if name != "x" else scale for name in one.names])
    # REML's determinant of the columns knows their units.
    moved = np.log(scale) if family == "gaussian" else 0.0
    assert two.verdicts == one.verdicts
    np.testing.assert_allclose(two.estimates * unit, one.estimates, rtol=1e-5)
    np.testing.assert_allclose(two.se * unit, one.se, rtol=1e-5)
    assert two.loglik == pytest.approx(one.loglik - moved, abs=1e-6)


SITES: dict[str, dict[str, str | float]] = {
    "blanks and other scripts": {
        "a": "Köln  Süd",
        "b": "b/..",
        "c": "病院",
        "d": "d e",
    },
    "whole numbers": {"a": 1, "b": 2, "c": 10, "d": 4},
    "whole floats": {"a": 1.0, "b": 2.0, "c": 10.0, "d": 4.0},
    "fractions": {"a": 1.5, "b": 2.25, "c": 0.1, "d": 4.0},
}


@pytest.mark.parametrize("case", SITES)
def test_sites_may_be_called_anything(case, tmp_path):
    """Names of sites change no number, and no file leaves the folder."""
    asked = question(f"e ~ g + {H}", "binomial")
    (tmp_path / "plain").mkdir()
    (tmp_path / "named").mkdir()
    table = small_table().assign(hospital=lambda t: t.hospital.map(SITES[case]))

    one = simulate(tmp_path / "plain", small_table(), *asked, *OPEN)
    two = simulate(tmp_path / "named", table, *asked, *OPEN)

    assert one.status == two.status == 0
    for first, second in zip(
        result_of(tmp_path / "plain")["fixed"],
        result_of(tmp_path / "named")["fixed"],
        strict=True,
    ):
        assert second["estimate"] == pytest.approx(first["estimate"], rel=1e-6)
    assert sorted(p.name for p in (tmp_path / "named").iterdir()) == ["data.csv", "out"]


def test_a_row_without_a_site_is_left_out(tmp_path):
    """An empty site cell drops its row from both doors alike."""
    table = small_table().assign(hospital=lambda t: t.hospital.where(t.index != 3, ""))
    asked = "y ~ x + (1 | hospital)"

    alone = glmm.fit(asked, table, family="gaussian")
    simulate(tmp_path, table, *question(asked, "gaussian"), *OPEN)

    assert alone.n_rows == result_of(tmp_path)["n_rows"] == 239


def test_change_may_be_explained_by_its_baseline():
    """A response of two columns may meet one of them again."""
    fit = glmm.fit(f"I(y - x) ~ x + {H}", small_table(), family="gaussian", method="ml")
    plain = glmm.fit(f"y ~ x + {H}", small_table(), family="gaussian", method="ml")

    np.testing.assert_allclose(fit.estimates, plain.estimates - [0, 1], rtol=1e-8)
