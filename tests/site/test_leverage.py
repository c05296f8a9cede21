"""One record that stands out: what a coordinator reads, and the rule against it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, Policy
from fedglmm_flower.site import summarise as module
from fedglmm_flower.site.gate import clear, inspect
from fedglmm_flower.site.leverage import largest_leverage
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.site.windows import Window, windows_of
from tests.site.conftest import LENIENT, STUDIES, ask, moments_of, patients

WITHOUT = Policy(max_leverage=1.0)
# An age of 49.3, and a laboratory value twelve standard deviations above the mean.
PATIENT = {"age": 49.3, "exposure": 7.0}
ASKED = ask(
    "died ~ age + exposure + female + (1 | hospital)",
    "binomial",
    release_set="canonical",
    order=4,
)


def site(seed, n=450):
    """Ordinary patients and the one."""
    frame = patients(n, seed)
    frame["exposure"] = np.random.default_rng(seed).normal(1.0, 0.5, n)
    frame.loc[3, list(PATIENT)] = list(PATIENT.values())
    return frame


def read(study, cleared):
    """The patient of the largest value, as a coordinator reads him; nan if not sent."""
    model = study.moment_model
    at = [atom.name for atom in model.atoms]
    sums = {
        s.monomial: v
        for s, v in zip(cleared.statistics, cleared.values, strict=True)
        if s.role == "x"
    }

    def power(**exponents):
        monomial = tuple(exponents.get(name, 0) for name in at)
        return sums.get(monomial, np.nan)

    atoms = {atom.name: atom for atom in model.atoms}
    value = power(exposure=4) / power(exposure=3)
    age = power(exposure=3, age=1) / power(exposure=3)
    return {
        name: atoms[name].center + atoms[name].scale * z
        for name, z in (("exposure", value), ("age", age))
    }


def centred(study, frame):
    """The study with the public centre and scale of its column."""
    columns = tuple(
        replace(c, center=1.0, scale=0.5, low=None) if c.name == "exposure" else c
        for c in study.columns
    )
    asked = replace(study, columns=columns)
    return asked, moments_of(asked, frame)


@pytest.mark.parametrize("seed", range(5))
def test_high_moments_of_one_extreme_patient_are_his(seed):
    """Without the rule he is read to a tenth; with it no such moment leaves."""
    study, moments = centred(ASKED, site(seed))

    open_ = clear(study.moment_model, moments, WITHOUT, study.offers)
    found = read(study, open_)
    assert open_.order == 4
    assert abs(found["exposure"] - PATIENT["exposure"]) < 0.75
    assert abs(found["age"] - PATIENT["age"]) < 6.0

    closed = clear(study.moment_model, moments, Policy(), study.offers)
    assert closed.order <= 2
    assert np.isnan(list(read(study, closed).values())).all()


def test_six_rows_are_solved_for_and_refused():
    """Fourteen sums of two columns are more than twelve unknowns."""
    study = ask("cost ~ age", release_set="joint", order=4)
    frame = patients(6, 2)
    moments = moments_of(study, frame)
    cleared = clear(
        study.moment_model, moments, NO_DISCLOSURE_CONTROL, study.offers[:1]
    )
    model = study.moment_model
    truth = np.column_stack([(frame.age - 60) / 10, (frame.cost - 4) / 2])
    powers = np.array([s.monomial for s in cleared.statistics])
    where = [["age", "cost"].index(atom.name) for atom in model.atoms]

    def miss(flat):
        rows = flat.reshape(6, 2)[:, where]
        sums = np.prod(rows[:, None] ** powers, axis=2).sum(axis=0)
        return (sums - cleared.values) / np.maximum(1.0, np.abs(cleared.values))

    rng = np.random.default_rng(0)
    starts = rng.normal(size=(200, 12))
    tries = (least_squares(miss, s, xtol=1e-15, ftol=1e-15, gtol=1e-15) for s in starts)
    best = next(t for t in tries if t.cost < 1e-20).x.reshape(6, 2)
    order, known = np.argsort(best[:, 0]), np.argsort(truth[:, 0])
    np.testing.assert_allclose(best[order], truth[known], atol=1e-6)

    with pytest.raises(DisclosureError, match=r"leverage: one record has up to 100"):
        clear(model, moments, LENIENT, study.offers[:1])


@pytest.mark.parametrize("seed", range(3))
def test_an_ordinary_site_keeps_its_order(seed):
    """Normal columns and a 0/1 one, 450 rows."""
    frame = patients(450, seed)
    frame["exposure"] = np.random.default_rng(seed).normal(1.0, 0.5, 450)
    study, moments = centred(ASKED, frame)

    assert clear(study.moment_model, moments, Policy(), study.offers).order == 4


@pytest.mark.parametrize("name", STUDIES)
def test_batches_change_no_leverage(name, table, monkeypatch):
    """Nor does whether rows are kept or read again; all windows are measured."""
    study = STUDIES[name]
    whole = moments_of(study, table)
    monkeypatch.setattr(module, "_KEPT_CELLS", 1)
    monkeypatch.setattr(module, "_MAX_BATCH", 61)
    again = summarise(study, FrameSource(table), site="north")

    opened = {w for k, n in study.offers for w in windows_of(study.statistics(n, k))}
    assert set(whole.leverage) == set(again.leverage) == opened
    for window, share in whole.leverage.items():
        assert 0 < share <= 1
        np.testing.assert_allclose(again.leverage[window], share, rtol=1e-7)


def test_a_square_of_records_is_as_a_linear_model_has_it(table):
    """The diagonal of the hat matrix."""
    study = ask("cost ~ age + female")
    share = moments_of(study, table).leverage[Window("gaussian", "rows", 1)]
    X = np.column_stack([np.ones(400), table.age, table.female, table.cost])
    hat = X @ np.linalg.solve(X.T @ X, X.T)

    np.testing.assert_allclose(share, np.diag(hat).max(), rtol=1e-8)


def test_what_overflows_stands_alone():
    """And nobody has no leverage."""
    huge = np.array([[1.0, 1.0], [1e308, np.inf]])

    assert largest_leverage(lambda: [huge]) == 1.0
    assert largest_leverage(list) == 0.0


def test_what_was_not_measured_does_not_pass(table):
    """A release beyond the study's offers."""
    study, moments = centred(ASKED, table)
    moments = replace(moments, leverage={})
    findings = inspect(study.moment_model, moments, study.statistics(2), Policy())

    assert "leverage" in {f.rule for f in findings if not f.passed}
