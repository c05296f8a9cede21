"""Sums that are windows on a few patients do not pass the default gate."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import FrameSource, Policy, release
from fedglmm_flower.study import Column, Study
from tests.clinics import clinics

NUMBERS = ("age", "bmi", "cost", "crea", "sbp", "weight")
COLUMNS = (
    *(Column(name, "continuous") for name in NUMBERS),
    *(Column(name, "binary") for name in ("died", "hyp", "level")),
)


def ask(formula, family="binomial", **changes):
    """A study of one ward."""
    links = {"binomial": "logit", "gamma": "log", "gaussian": "identity"}
    parts = {
        "name": "windows",
        "formula": formula,
        "family": family,
        "link": links[family],
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "site",
        "columns": COLUMNS,
        "sites": ("north",),
        **changes,
    }
    return Study(**parts)


def ward(n=400, seed=3):
    """Patients with a threshold of pressure and four exceptions at it."""
    rng = np.random.default_rng(seed)
    sbp = rng.normal(140, 20, n).round()
    sbp[np.abs(sbp - 140) < 4] = 150
    sbp[:4] = 140
    return pd.DataFrame(
        {
            "age": rng.normal(60, 12, n).round(),
            "bmi": rng.normal(27, 4, n).round(1),
            "crea": rng.normal(90, 15, n).round(),
            "sbp": sbp,
            "hyp": np.where(np.arange(n) < 4, np.arange(n) % 2, sbp > 140).astype(int),
            "died": rng.integers(0, 2, n),
            "level": (np.arange(n) < 40).astype(int),
            "cost": rng.gamma(4, 100, n),
            "weight": 1.0,
        }
    )


def answer(study, frame, policy=None):
    """What leaves the ward."""
    return release(study, FrameSource(frame), policy or Policy(), site="north")


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_an_anchor_on_a_threshold_falls_back(scale):
    """The information at a steep estimate is that of four patients."""
    steep = tuple(
        Column(c.name, c.kind, center=140.0, scale=scale) if c.name == "sbp" else c
        for c in COLUMNS
    )
    study = ask(
        "hyp ~ sbp + bmi + crea",
        release_set="anchored",
        order=2,
        columns=tuple(sorted(steep, key=lambda c: c.name)),
    )

    assert answer(study, ward()).release_set == "canonical"


def test_weights_that_are_all_but_zero_are_no_rows():
    """Three of forty patients of a level carry its whole weight."""
    frame = ward()
    light = (frame.level == 1) & (np.arange(400) >= 3)
    frame["weight"] = np.where(light, 1e-7, 1.0)
    study = ask("died ~ age + level", weights="weight", order=2)

    with pytest.raises(DisclosureError, match="effective rows: weights in a level"):
        answer(study, frame)


def test_one_dear_patient_is_not_a_sum_of_amounts():
    """A patient with a third of all costs below the limit of dominance."""
    frame = ward()
    frame.loc[0, "cost"] = 0.3 / 0.7 * frame.cost[1:].sum()
    study = ask("cost ~ age + bmi", "gamma", order=2)

    with pytest.raises(DisclosureError, match="effective rows: amount"):
        answer(study, frame)


def test_high_powers_are_the_officers_to_allow():
    """A twelfth power is the largest value and nothing else."""
    study = ask("died ~ I(age**12)*bmi", order=1)

    with pytest.raises(DisclosureError, match="power"):
        answer(study, ward())
    assert answer(ask("died ~ age + I(age**2) + I(age**3)", order=1), ward()).clusters


def test_a_remainder_is_more_than_its_largest_cluster():
    """Else that one is subtracted by whoever knows it."""
    table = clinics(each=600, count=3)
    table = table[table.hospital == "h1"]
    names = sorted(table.clinic.unique())
    sizes = dict(zip(names, (300, 49, 30), strict=True))
    kept = [rows[: sizes[name]] for name, rows in table.groupby("clinic")]
    columns = (
        Column("b", "binary"),
        Column("x", "continuous"),
        Column("y", "continuous"),
    )
    study = ask(
        "y ~ x + (1 | hospital/clinic)",
        "gaussian",
        columns=columns,
        site_column="hospital",
        clusters=("clinic",),
    )
    released = answer(study, pd.concat(kept))

    assert [entry.cluster for entry in released.clusters] == [(names[0],)]
    assert released.small is not None
    assert released.small.treatment == "left_out"
