"""Pseudo-data that meet moments and what is known at the anchor together."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.coordinator.anchored import AnchoredMoments
from fedglmm_flower.coordinator.pooling import fit_pseudo, pseudo_site
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import targets_of
from fedglmm_flower.coordinator.transport import HermiteMoments
from fedglmm_flower.errors import WireError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.evaluate import atom_rows, evaluate_monomials
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.study.release import anchor_measures
from tests.coordinator.questions import (
    SITES,
    pooled_fit,
    released_of,
    study_of,
    table_of,
)

STARTS = Starts.for_rows(3, 1024)
QUESTIONS = {
    "binomial": "y ~ a + b + h + (1 | site)",
    "poisson": "y ~ a + f + offset(log(t)) + (1 | site)",
    "probit": "y ~ a + b + h + (1 | site)",
    "cloglog": "y ~ a + b + h + (1 | site)",
    "probit, trials": "cbind(y, m - y) ~ a + h + (1 | site)",
    "nbinom2": "y ~ a + h + offset(log(t)) + (1 | site)",
}
LINKS = {"probit": "binomial", "cloglog": "binomial"}


def targets_at(study, frame, site):
    """A site's anchored sums."""
    answer = released_of(study, frame, site)
    statistics = study.statistics(answer.order, answer.release_set)
    return targets_of(study.model, statistics, answer.clusters[0], site)


def ask(name, release_set="anchored", **changes):
    """A study of a question by its name."""
    first, _, trials = name.partition(", ")
    link = first if first in LINKS else None
    family = LINKS.get(first, first)
    study = study_of(
        QUESTIONS[name],
        family,
        link=link,
        order=2,
        release_set=release_set,
        **changes,
    )
    return study, family, bool(trials)


@pytest.fixture(params=QUESTIONS)
def asked(request, rng):
    """A study with an anchored release, and its table."""
    study, family, trials = ask(request.param)
    return study, table_of(family, rng, n=200, trials=trials)


def clouds_of(study, targets):
    """What is known of each function, and rows with the mass it is integrated by."""
    site = pseudo_site(study.model, targets, STARTS, 0)
    masses = {
        "events": site.responses,
        "others": site.rows.weights - site.responses,
    }
    known = targets.anchored
    while known is not None:
        measure = known.expansion.curve.measure
        yield known, site.rows.values, masses.get(measure, site.rows.weights)
        known = known.events


def test_the_sums_at_the_anchor_are_met(asked):
    """Value, score, information and bend of pseudo-rows are the released ones."""
    study, frame = asked
    targets = targets_at(study, frame, "north")

    count = 0
    for known, atoms, mass in clouds_of(study, targets):
        functions, total = known.expansion.values(atoms), mass.sum()
        means = functions @ mass / total
        size = np.sqrt((functions**2) @ mass / total)
        # Few events with few trials each are less willing than whole sites.
        most = 1e-6 if targets.anchored.events is None else 1e-4
        assert np.abs((means - known.means) / size).max() < most
        count += 1
    assert count == len(anchor_measures(study.model))


@pytest.mark.parametrize("name", ["probit", "cloglog", "probit, trials", "nbinom2"])
@pytest.mark.parametrize("release_set", ["anchored", "public"])
def test_what_two_measures_release_are_sums_over_rows(name, release_set, rng):
    """Value, score, information and bend of each function, by brute force."""
    columns = 4 if name in ("probit", "cloglog") else 3
    names = ("Intercept", "a", "b", "h") if columns == 4 else ("Intercept", "a", "h")
    anchor = tuple(zip(names, (-0.4, 0.2, 0.1, 0.3), strict=False))
    given = {"anchor": anchor} if release_set == "public" else {}
    study, family, trials = ask(name, release_set, **given)
    frame = table_of(family, rng, n=200, trials=trials)
    public = study.anchor_values
    answer = released_of(study, frame, "north")
    statistics = study.statistics(2, release_set)
    targets = targets_of(
        study.model, statistics, answer.clusters[0], "north", public=public
    )
    known, rows = targets.anchored, frame[frame.site == "north"]
    y, m = rows.y.to_numpy(), rows.m.to_numpy() if trials else np.ones(200)
    used = {n: study.model.columns[n] for n in study.model.used_columns}
    atoms = atom_rows(study.model, typed_table(rows, list(used.values()))).values

    gradient = 0.0
    for mass in (m if family == "nbinom2" else m - y, y):
        assert known is not None
        functions = known.expansion.values(atoms) @ mass / mass.sum()
        np.testing.assert_allclose(known.means, functions, rtol=1e-7, atol=1e-9)
        score = functions[1 : 1 + columns] * mass.sum()
        gradient = gradient + known.expansion.curve.factor * score
        known = known.events
    assert known is None
    if release_set == "anchored":  # the penalty pulls a little
        x = AnchorFrame(study.model)
        design = x.columns @ evaluate_monomials(atoms, x.monomials, study.model.factors)
        linear = design @ y if family == "nbinom2" else np.zeros(columns)
        assert np.abs(gradient - linear).max() < 10


def test_gradients_are_those_of_the_values(asked, rng):
    """Moments and anchored functions alike."""
    study, frame = asked
    anchored = targets_at(study, frame, "north").anchored
    assert anchored is not None
    factors = study.model.factors
    moving = [i for i, factor in enumerate(factors) if not factor]
    d = len(moving)
    moments = HermiteMoments(
        np.eye(d, dtype=int), np.ones((d, 1)), np.zeros(9, int), np.full(9, 1 / 9)
    )

    def place(points):
        values = np.zeros((9, len(factors)))
        values[:, moving] = points * 0.7
        return values

    start = rng.normal(size=(9, d))
    sds = np.full(d, 0.7)
    both = AnchoredMoments(moments, anchored, place, moving, sds, start)
    slopes = both.slopes(start)
    for row, k in ((0, 0), (4, d - 1)):
        step = np.zeros_like(start)
        step[row, k] = 1e-6
        change = (both.values(start + step) - both.values(start - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, k, row] / 9, change, atol=1e-7)


def test_estimates_come_closer_than_by_moments_alone(asked):
    """The same order with an anchor is several times as accurate."""
    study, frame = asked
    pooled = pooled_fit(study, frame)
    shifts = []
    for bare in (False, True):
        targets = {site: targets_at(study, frame, site) for site in SITES}
        if bare:
            targets = {s: replace(t, anchored=None) for s, t in targets.items()}
        draws = {
            site: [pseudo_site(study.model, t, STARTS, k)]
            for k, (site, t) in enumerate(targets.items())
        }
        fit = fit_pseudo(study.model, targets, draws, "laplace", {"site": "site"})
        shifts.append(
            float(np.abs((fit.estimates - pooled.estimates) / pooled.se).max())
        )

    assert shifts[0] < 0.02
    assert shifts[0] < shifts[1] / 3


def test_a_damaged_release_names_the_site(asked):
    """An information matrix that no rows can have is refused."""
    study, frame = asked
    answer = released_of(study, frame, "north")
    statistics = study.statistics(2, "anchored")
    damaged = [
        -abs(v) * 1e6 if s.role == "information" else v
        for s, v in zip(statistics, answer.clusters[0].values, strict=True)
    ]
    cluster = type(answer.clusters[0])((), 200, tuple(damaged))

    with pytest.raises(WireError, match=r"'north'.*positive definite"):
        targets_of(study.model, statistics, cluster, "north")
