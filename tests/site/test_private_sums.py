"""What one row, or one patient, can do to the sums that noise is added to."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_flower.site import FrameSource, Privacy
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import BITS, radius
from fedglmm_flower.site.private_release import require_private
from fedglmm_flower.site.private_sums import private_sums
from fedglmm_flower.site.public_scales import public_weights, reference_norms
from fedglmm_flower.site.records import bounded_cells, bounded_rows
from fedglmm_flower.site.residual_basis import mixing_of
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study import Column, Study

ANCHOR = (("Intercept", -2.0), ("age", 0.02), ("stage[T.II]", 0.3))
AGE = Column("age", "continuous", (), "", 0.0, 120.0, 60.0, 12.0)
STAGE = Column("stage", "categorical", ("I", "II"))
RESPONSES = {
    "binomial": Column("y", "binary"),
    "poisson": Column("y", "continuous", (), "count", 0.0, 20.0),
    "gamma": Column("y", "continuous", (), "", 0.1, 50.0, 5.0, 4.0),
    "gaussian": Column("y", "continuous", (), "", -50.0, 50.0, 0.0, 9.0),
    "nbinom2": Column("y", "continuous", (), "count", 0.0, 20.0),
}
LINKS = {"binomial": "logit", "gaussian": "identity"}
PRIVACY = Privacy("people", 1.0, 1e-6, 3.0)


def study_of(family="binomial", release_set="canonical", **changes) -> Study:
    """Two columns with bounds."""
    parts = {
        "name": "noisy",
        "formula": "y ~ age + stage + (1 | site)",
        "family": family,
        "link": LINKS.get(family, "log"),
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "site",
        "columns": (AGE, STAGE, RESPONSES[family]),
        "sites": ("north", "south"),
        "release_set": release_set,
        "order": 2,
        "anchor": ANCHOR if release_set == "public" else (),
        **changes,
    }
    return Study(**parts)


def rows_of(n=300, seed=1, family="binomial") -> pd.DataFrame:
    """Rows inside the bounds."""
    rng = np.random.default_rng(seed)
    y = {
        "binomial": rng.integers(0, 2, n),
        "gamma": rng.uniform(0.2, 40, n),
        "gaussian": rng.normal(0, 9, n).clip(-49, 49),
    }.get(family, rng.integers(0, 19, n))
    age = rng.normal(60, 12, n).clip(0, 120)
    stage = np.array(["I", "II"])[rng.integers(0, 2, n)]
    return pd.DataFrame({"age": age, "stage": stage, "y": y})


_KNOWN: dict[str, tuple[Features, np.ndarray]] = {}


def summed(study, frame, privacy=PRIVACY):
    """Integer sums of a table, and how many records."""
    if study.digest not in _KNOWN:
        offer = require_private(study, privacy)
        anchor = study.anchor_values if offer[0] == "public" else None
        features = Features(study.model, study.statistics(offer[1], offer[0]), anchor)
        _KNOWN[study.digest] = features, public_weights(features)
    features, weights = _KNOWN[study.digest]
    return private_sums(study, FrameSource(frame), features, weights, privacy)


def distance(one, other) -> int:
    """Squared distance of two sums, in Python's integers."""
    pairs = zip(one.sums.ravel(), other.sums.ravel(), strict=True)
    return sum((int(a) - int(b)) ** 2 for a, b in pairs)


CASES = [(family, "canonical") for family in RESPONSES] + [
    (family, "public") for family in ("binomial", "poisson", "gamma")
]


@pytest.mark.parametrize(("family", "release_set"), CASES)
def test_without_clipping_the_sums_are_those_of_a_release_without_noise(
    family, release_set
):
    """Term by term the same functions, for every family and both sets."""
    study, frame = study_of(family, release_set), rows_of(family=family)
    offer = require_private(study, PRIVACY)
    anchor = study.anchor_values if release_set == "public" else None
    features = Features(study.model, study.statistics(offer[1], offer[0]), anchor)
    # Weights so small that no record reaches the norm, at the price of digits.
    cells = bounded_cells(study.model, frame)
    rows, counted = bounded_rows(study.model, cells, len(frame))
    terms = features.on_rows(rows, counted)
    exact = summarise(study, FrameSource(frame), site="north")
    known = dict(zip(exact.statistics, exact.values, strict=True))
    expected = [known[s] for s in features.statistics]
    mixing = mixing_of(study.model, features.statistics)
    scale = (np.abs(mixing) @ np.abs(terms).sum(axis=1))[:-1]

    assert (np.abs((mixing @ terms.sum(axis=1))[:-1] - expected) < 1e-12 * scale).all()
    assert terms[-1].sum() == len(frame)
    weights = 1e-3 / np.abs(terms).max(axis=1)
    source = FrameSource(frame)
    whole = private_sums(study, source, features, weights, PRIVACY).sums[0]
    unclipped = (weights[:, None] * terms).sum(axis=1) * 2.0**BITS
    assert np.abs(whole - unclipped).max() <= len(frame)


CELLS = st.sampled_from(
    ["", "nan", "NaN", "inf", "-inf", "1e308", "-1e308", "5e-324", "-0.0", "text", "1",
     "0", "II", "I", "IV", "60", "1_0", "99999999999999999999999", "0x10", " 7 ",
     "1e400", "2", "1.5", "\x00", "中"]
)  # fmt: skip
RECORD = st.fixed_dictionaries({"age": CELLS, "stage": CELLS, "y": CELLS})


@given(st.sampled_from(CASES), RECORD, RECORD)
@settings(max_examples=120, deadline=None)
def test_no_row_whatever_moves_the_sums_further_than_its_relation_says(
    case, record, other
):
    """Rows of text, infinities and undeclared levels, and none raises an error."""
    study = study_of(*case)
    table = rows_of(5, family=case[0]).astype(str)
    one = pd.concat([table, pd.DataFrame([record])], ignore_index=True)
    two = pd.concat([pd.DataFrame([other]), table], ignore_index=True)
    empty = pd.concat([table, pd.DataFrame([dict.fromkeys(record, "")])])
    bound = radius(PRIVACY.clipping_norm) ** 2
    found = summed(study, one)

    assert distance(found, summed(study, table)) <= bound
    assert distance(found, summed(study, empty)) <= bound
    assert distance(found, summed(study, two)) <= 4 * bound
    assert found.records == (6,)
    assert summed(study, empty).records == (6,)


@pytest.mark.parametrize(("family", "release_set"), CASES)
def test_what_a_row_adds_does_not_depend_on_the_others(family, release_set):
    """Not by a bit: alone, among others, in another order, or in another batch."""
    study, frame = study_of(family, release_set), rows_of(67, family=family)
    whole = summed(study, frame).sums
    alone = sum(summed(study, frame.iloc[[i]]).sums for i in range(len(frame)))

    assert (whole == alone).all()
    assert (whole == summed(study, frame.iloc[::-1]).sums).all()
    assert (whole == summed(study, frame.astype(str)).sums).all()


def test_cells_are_read_one_by_one():
    """Whether a column has other cells that are no whole numbers changes none."""
    levels = Column("stage", "categorical", ("1", "2"))
    study = study_of(columns=(AGE, levels, RESPONSES["binomial"]))
    frame = rows_of(40)
    frame["stage"] = np.where(frame["stage"] == "I", 1.0, 2.0)
    last = pd.DataFrame({"age": [50.0], "stage": [1.5], "y": [1]})
    more = pd.concat([frame, last], ignore_index=True)

    assert (summed(study, more).sums == summed(study, frame).sums).all()


def test_numbers_of_every_type_are_the_same_numbers():
    """Text, decimals, integers, truth values and categories of a Parquet file."""
    study = study_of()
    frame = rows_of(40)
    frame["age"] = frame["age"].round(2)
    other = pd.DataFrame(
        {
            "age": [Decimal(str(value)) for value in frame["age"]],
            "stage": frame["stage"].astype("category"),
            "y": frame["y"].astype(bool),
        }
    )

    assert (summed(study, other).sums == summed(study, frame).sums).all()


def test_values_beyond_the_bounds_are_moved_to_them():
    """An error would tell that there is one."""
    study, frame = study_of(), rows_of(30)
    beyond = frame.assign(age=frame["age"].where(frame.index > 0, 400.0))
    at = frame.assign(age=frame["age"].where(frame.index > 0, 120.0))

    assert (summed(study, beyond).sums == summed(study, at).sums).all()


@pytest.mark.parametrize("rows", [2, 40])
def test_all_rows_of_a_patient_together_stay_within_the_norm(rows):
    """Forty visits weigh no more than one."""
    study = study_of()
    frame = rows_of(200).assign(patient="other")
    frame["patient"] = [f"p{i}" for i in range(len(frame))]
    visits = rows_of(rows, seed=2).assign(patient="visitor")
    privacy = Privacy("people", 1.0, 1e-6, 3.0, unit_column="patient")
    mixed = pd.concat([visits, frame]).sample(frac=1, random_state=1)
    found, without = (summed(study, table, privacy) for table in (mixed, frame))

    assert distance(found, without) <= radius(privacy.clipping_norm) ** 2
    assert distance(found, without) > 0
    assert (found.records, without.records) == ((201,), (200,))
    by_row = summed(study, mixed).sums - summed(study, frame).sums
    # Row by row two visits may still fit in, forty cannot.
    assert rows == 2 or np.linalg.norm(by_row) > radius(1.5)


def test_a_patient_without_a_name_counts_for_nothing():
    """Rows that cannot be told apart cannot be bounded."""
    privacy = Privacy("people", 1.0, 1e-6, 3.0, unit_column="patient")
    found = summed(study_of(), rows_of(9).assign(patient=None), privacy)

    assert not found.sums.any()
    assert found.records == (0,)


def test_a_patient_belongs_to_one_cluster():
    """So that clusters compose in parallel: one budget pays for all of them."""
    study = study_of(
        formula="y ~ age + stage + (1 | site/ward)", clusters=("ward",), order=2
    )
    privacy = Privacy(
        "people",
        1.0,
        1e-6,
        3.0,
        unit_column="patient",
        clusters=(("a",), ("b",), ("empty",)),
    )
    frame = rows_of(60).assign(ward=["a", "b"] * 30)
    frame["patient"] = [f"p{i}" for i in range(60)]
    mover = rows_of(8, seed=3).assign(ward=["c", "", "b", "a"] * 2, patient="mover")
    both = pd.concat([frame, mover])
    found, without = (summed(study, table, privacy) for table in (both, frame))

    assert found.sums.shape[0] == 3
    assert not found.sums[2].any()
    assert (found.sums[0] == without.sums[0]).all()
    assert distance(found, without) <= radius(privacy.clipping_norm) ** 2
    assert found.records == (30, 31, 0)


@pytest.mark.parametrize(("family", "release_set"), CASES)
def test_scales_come_from_the_study_alone(family, release_set):
    """A typical record of the reference law has norm one; few exceed the default."""
    study = study_of(family, release_set)
    anchor = study.anchor_values if release_set == "public" else None
    statistics = study.statistics(2, release_set)
    features = Features(study.model, statistics, anchor)
    weights = public_weights(features)
    norms = reference_norms(features, weights)

    assert (weights > 0).all()
    assert np.sqrt(np.mean(norms**2)) == pytest.approx(1.0, abs=0.05)
    assert np.mean(norms > PRIVACY.clipping_norm) < 0.17
    assert (weights == public_weights(features)).all()
