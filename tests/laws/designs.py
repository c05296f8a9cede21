"""Small seeded models of every family and structure, shared by the laws."""

from dataclasses import replace

import numpy as np

from fedglmm_flower.glmm import ModelRows, RandomTerm

FAMILIES = (
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("gamma", "log"),
    ("nbinom2", "log"),
)
STRUCTURES = ("intercept", "slope", "independent", "nested", "three", "nested-slope")


def draw_response(family, link, eta, *, trials, rng):
    """Responses of a family at a linear predictor."""
    if family == "binomial":
        p = {
            "logit": 1 / (1 + np.exp(-eta)),
            "probit": 0.5 + 0.5 * np.tanh(0.8 * eta),
            "cloglog": 1 - np.exp(-np.exp(eta)),
        }[link]
        return rng.binomial(trials.astype(int), p).astype(float)
    mean = np.exp(eta)
    if family == "poisson":
        return rng.poisson(mean).astype(float)
    if family == "gamma":
        return mean * rng.gamma(3.0, 1 / 3.0, len(eta)) + 1e-3
    if family == "nbinom2":
        return rng.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(float)
    return eta + rng.normal(size=len(eta))


def random_terms(structure, site, clinic, x, z):
    """The random part of a structure."""
    one = np.ones((len(x), 1))
    both = np.column_stack([one, x])
    all_three = np.column_stack([one, x, z])
    sites = tuple(f"s{i}" for i in range(site.max() + 1))
    clinics = tuple(f"c{i}" for i in range(clinic.max() + 1))

    def term(group, names, Z, correlated=True):
        index, levels = (site, sites) if group == "site" else (clinic, clinics)
        return RandomTerm(group, names, index, levels, Z, correlated)

    return {
        "intercept": (term("site", ("Intercept",), one),),
        "slope": (term("site", ("Intercept", "x"), both),),
        "independent": (term("site", ("Intercept", "x"), both, correlated=False),),
        "nested": (
            term("site", ("Intercept",), one),
            term("site:clinic", ("Intercept",), one),
        ),
        "three": (term("site", ("Intercept", "x", "z"), all_three),),
        "nested-slope": (
            term("site", ("Intercept", "x"), both),
            term("site:clinic", ("Intercept", "x"), both),
        ),
        "none": (),
    }[structure]


def model(family, link, structure, *, seed=0, sites=12, each=14):
    """A seeded data set with effects of moderate size, offsets and weights."""
    rng = np.random.default_rng(seed)
    n = sites * each
    site = np.repeat(np.arange(sites), each)
    clinic = 3 * site + rng.integers(0, 3, n)
    _, clinic = np.unique(clinic, return_inverse=True)
    x, z = rng.normal(size=(2, n))
    trials = rng.integers(1, 5, n).astype(float) if family == "binomial" else np.ones(n)
    offset = 0.2 * rng.normal(size=n)
    u = 0.7 * rng.normal(size=sites)[site] + 0.5 * rng.normal(size=sites)[site] * x
    u += 0.4 * rng.normal(size=clinic.max() + 1)[clinic]
    eta = 0.3 + 0.5 * x - 0.4 * z + offset + u
    basis = np.column_stack([np.ones(n), x, z])
    rows = ModelRows(
        ("Intercept", "x", "z"),
        basis,
        np.eye(3),
        draw_response(family, link, eta, trials=trials, rng=rng),
        rng.uniform(0.5, 1.5, n),
        trials,
        offset,
        random_terms(structure, site, clinic, x, z),
        None,
        n,
    )
    shuffled = rng.permutation(n)
    return take(rows, shuffled)


def take(rows, which):
    """Rows in another order, some of them several times."""
    return replace(
        rows,
        basis=rows.basis[which],
        response=rows.response[which],
        weights=rows.weights[which],
        trials=rows.trials[which],
        offset=rows.offset[which],
        random=tuple(
            replace(t, index=t.index[which], Z=t.Z[which]) for t in rows.random
        ),
    )
