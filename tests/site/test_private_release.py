"""A site's answer with noise: decided by what is public, paid, and told in full."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, chi2

from fedglmm_flower.envelope import decode_release, encode_release
from fedglmm_flower.errors import (
    BudgetError,
    DataError,
    FedglmmError,
    LedgerError,
    PolicyError,
    StudyMismatchError,
)
from fedglmm_flower.site import (
    FrameSource,
    Ledger,
    Privacy,
    Wire,
    release_privately,
)
from fedglmm_flower.site.discrete_gaussian import (
    DiscreteGaussian,
    epsilon_of,
    noise_multiplier,
    zcdp_of,
)
from fedglmm_flower.site.fixed_point import radius
from fedglmm_flower.study import Column
from tests.site.test_private_sums import AGE, ANCHOR, STAGE, rows_of, study_of

PRIVACY = Privacy("people", 1.0, 1e-6, 3.0)
WIRE = Wire(encode_release, decode_release)


@pytest.fixture
def answer(tmp_path):
    """A site that answers from its own ledger."""

    def answered(study=None, frame=None, privacy=PRIVACY, key=b"one"):
        return release_privately(
            study or study_of(),
            FrameSource(rows_of() if frame is None else frame),
            privacy,
            Ledger(tmp_path / "ledger.sqlite"),
            WIRE,
            site="north",
            key=key,
        )

    return answered


def spent(tmp_path) -> int:
    """What the ledger has paid."""
    return Ledger(tmp_path / "ledger.sqlite").balances()["people"].spent_nano


def test_everything_about_the_noise_is_told(answer):
    """So that the coordinator needs no guess: price, relation, scale, norm, weights."""
    released = answer()
    noise = released.noise

    assert noise is not None
    assert released.spent.mechanism == "discrete gaussian"
    assert (released.spent.epsilon, released.spent.delta) == (1.0, 1e-6)
    assert released.spent.relation == "zero_out"
    assert released.n_missing is None
    assert (noise.bits, noise.norm, noise.unit) == (20, 1.25, "row")
    assert noise.rho == pytest.approx(0.0243560, abs=1e-7)
    assert noise.scale == pytest.approx(4.5308 * radius(1.25), rel=1e-4)
    assert len(noise.weights) == len(released.clusters[0].values) + 1
    expected = [4.5308 * 1.25 / w for w in noise.weights]
    assert noise.sds == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("relation", ["zero_out", "add_remove", "replace_one"])
def test_each_relation_has_its_distance_and_tells_no_count_that_it_hides(
    answer, relation
):
    """Exchanging a record moves twice as far; adding one changes the count."""
    released = answer(privacy=replace(PRIVACY, relation=relation))
    doubled = 2 if relation == "replace_one" else 1
    hidden = relation == "add_remove"

    assert released.noise is not None
    expected = doubled * radius(1.25) * noise_multiplier(1.0, 1e-6)
    assert released.noise.scale == pytest.approx(expected, rel=1e-6)
    assert released.clusters[0].n_rows == (None if hidden else 300)
    assert (b":300," in encode_release(released)) is not hidden


def test_the_same_request_gets_the_same_noise_at_no_cost(answer, tmp_path):
    """Averaging it away is impossible; another table or policy is another request."""
    first = answer()
    paid = spent(tmp_path)
    assert answer() == first
    assert spent(tmp_path) == paid == math.ceil(zcdp_of(1.0, 1e-6) * 1e9)
    other = answer(key=b"two")

    assert spent(tmp_path) == 2 * paid
    assert other.clusters[0].values != first.clusters[0].values


def test_a_table_that_cannot_be_read_costs_nothing(answer, tmp_path):
    """It is read before anything is paid."""
    answer()
    with pytest.raises(DataError, match="is missing"):
        answer(frame=pd.DataFrame({"other": [1]}))

    assert spent(tmp_path) == math.ceil(zcdp_of(1.0, 1e-6) * 1e9)


def test_the_request_is_that_of_the_rows(answer, tmp_path):
    """In whatever order they stand; one cell more is another table."""
    frame = rows_of()
    first = answer(frame=frame)
    assert answer(frame=frame.iloc[::-1]) == first
    changed = frame.assign(y=frame["y"].where(frame.index > 0, 1 - frame["y"]))

    assert answer(frame=changed) != first
    assert spent(tmp_path) == 2 * math.ceil(zcdp_of(1.0, 1e-6) * 1e9)


def test_beyond_the_budget_nothing_is_drawn(answer, tmp_path, monkeypatch):
    """Epsilon 3 in all holds seven releases of epsilon 1, and not the eighth."""
    for k in range(7):
        answer(key=str(k).encode())
    paid = spent(tmp_path)

    def unreachable(*_):
        raise AssertionError

    monkeypatch.setattr(DiscreteGaussian, "draw", unreachable)
    with pytest.raises(BudgetError) as error:
        answer(key=b"8")

    assert error.value.code == "budget-exceeded"
    assert spent(tmp_path) == paid
    assert epsilon_of(paid / 1e9, 1e-6) < 3.0


@pytest.mark.parametrize(
    "frame",
    [
        rows_of(0),
        rows_of(1),
        rows_of(3).astype(str).assign(age="text", y=""),
        rows_of(60).assign(y=0),
        rows_of(60).assign(stage="V"),
        rows_of(60).assign(age=math.inf),
    ],
    ids=["none", "one", "text", "no events", "no level", "infinite"],
)
def test_no_table_is_refused_for_its_cells(answer, frame):
    """A refusal, or another set or size, would itself tell of the rows."""
    usual, found = answer(), answer(frame=frame, key=b"two")

    assert (found.release_set, found.order) == (usual.release_set, usual.order)
    assert len(found.clusters) == len(usual.clusters)
    assert len(found.clusters[0].values) == len(usual.clusters[0].values)
    assert found.noise == usual.noise


def test_a_study_without_bounds_is_refused_before_anything_is_read(answer, tmp_path):
    """Its scale could only come from the data."""
    unbounded = Column("age", "continuous", (), "", 0.0, None, 60.0, 12.0)
    y = Column("y", "binary")
    with pytest.raises(StudyMismatchError, match="'age' of the study 'noisy'"):
        answer(study_of(columns=(unbounded, STAGE, y)), pd.DataFrame())
    assert not (tmp_path / "ledger.sqlite").exists()


def test_bounds_are_those_that_the_officer_settled(answer, tmp_path):
    """A study that declares others would have its records clipped elsewhere."""
    assert (AGE.low, AGE.high) == (0.0, 120.0)
    unknown = ("unknown", 0.0, 1.0)
    for low, high in ((0.0, 71.0), (1.0, 120.0)):
        settled = replace(PRIVACY, bounds=(unknown, ("age", low, high)))
        with pytest.raises(StudyMismatchError, match="are required by 'bounds'"):
            answer(privacy=settled)
    assert not (tmp_path / "ledger.sqlite").exists()
    settled = replace(PRIVACY, bounds=(unknown, ("age", 0.0, 120.0)))

    assert answer(privacy=settled).noise == answer().noise


def test_an_anchor_of_the_sites_own_is_not_released(answer):
    """It is no sum; another set that the study accepts is."""
    local = study_of(release_set="anchored", accept=(("anchored", 2), ("anchored", 1)))
    with pytest.raises(StudyMismatchError, match="fitted to its rows"):
        answer(local)
    either = study_of(
        release_set="anchored", accept=(("anchored", 2), ("canonical", 3))
    )
    released = answer(either)

    assert (released.release_set, released.order) == ("canonical", 3)


def test_a_public_anchor_is_released(answer):
    """Score, value, information and bend are sums of functions of one record each."""
    for name in ("public", "public-pairs"):
        study = study_of(release_set=name, anchor=ANCHOR)
        released = answer(study)

        assert released.release_set == name
        assert len(released.clusters[0].values) == len(study.statistics(2))


def test_a_public_anchor_of_two_measures_is_not_released(answer):
    """Its functions are not known record by record; the canonical set is."""
    study = study_of(link="probit", release_set="public", anchor=ANCHOR)
    with pytest.raises(StudyMismatchError, match="one to the study's list"):
        answer(replace(study, accept=(("public", 2),)))
    accept = (("public", 2), ("canonical", 2))

    assert answer(replace(study, accept=accept)).release_set == "canonical"


def test_clusters_are_those_that_the_policy_lists(answer, tmp_path):
    """Labels in a table are data: none appears or is missed because of a row."""
    study = study_of(formula="y ~ age + stage + (1 | site/ward)", clusters=("ward",))
    frame = rows_of(60).assign(ward=["a", "b", "c"] * 20)
    with pytest.raises(PolicyError, match="a public list of them is required"):
        answer(study, frame)
    listed = replace(PRIVACY, clusters=(("b",), ("a",), ("z",)))
    released = answer(study, frame, listed)

    assert [one.cluster for one in released.clusters] == [("a",), ("b",), ("z",)]
    assert [one.n_rows for one in released.clusters] == [20, 20, 0]
    # One release for all of them: they share no record.
    assert spent(tmp_path) == math.ceil(zcdp_of(1.0, 1e-6) * 1e9)
    moved = replace(listed, relation="replace_one")
    assert {one.n_rows for one in answer(study, frame, moved).clusters} == {None}
    with pytest.raises(PolicyError, match="another depth"):
        answer(study, frame, replace(PRIVACY, clusters=(("a", "b"),)))
    with pytest.raises(StudyMismatchError, match="the unit that is protected"):
        answer(study, frame, replace(listed, unit_column="ward"))


def test_the_noise_has_the_variance_that_is_told():
    """20,000 draws: chi-square at a level that one run in a million would miss."""
    gaussian = DiscreteGaussian(20_000, radius(1.5), 1.0, 1e-6)
    drawn = np.array(gaussian.draw([7] * 20_000), dtype=float) - 7
    statistic = float((drawn**2).sum() / gaussian.scale**2)
    low, high = chi2.ppf(5e-7, 20_000), chi2.ppf(1 - 5e-7, 20_000)

    assert low < statistic < high
    assert abs(drawn.mean()) < 5 * gaussian.scale / math.sqrt(20_000)


@pytest.mark.lengthy
def test_the_variance_of_the_noise_is_right_within_one_in_a_hundred():
    """A million draws: 1 % is seven of the standard deviations of their variance."""
    gaussian = DiscreteGaussian(20_000, radius(1.5), 1.0, 1e-6)
    squares = 0.0
    for _ in range(50):
        drawn = np.array(gaussian.draw([0] * 20_000), dtype=float)
        squares += float((drawn**2).sum())

    assert squares / 1e6 / gaussian.scale**2 == pytest.approx(1.0, abs=0.01)
    # So that the test would see noise that is two in a hundred too small.
    assert 7 * math.sqrt(2 / 1e6) < 0.01


@pytest.mark.parametrize("fault", ["column", "unit", "level", "study", "few sites"])
def test_what_is_refused_with_noise_is_refused_whatever_the_rows(
    fault, answer, tmp_path
):
    """The same words and code for an empty table, an ordinary one, and one of text."""
    frames = (rows_of(0), rows_of(200), rows_of(50).astype(str).assign(y="text"))
    changes: dict[str, object] = {}
    privacy, least = PRIVACY, 1
    seen: set[tuple[object, ...]] = set()
    if fault == "unit":
        privacy = replace(PRIVACY, unit_column="nobody")
    elif fault == "level":
        changes["columns"] = (AGE, replace(STAGE, levels=("A", "B")),
                              Column("y", "binary"))  # fmt: skip
    elif fault == "study":
        privacy = replace(PRIVACY, unit_column="age")
    elif fault == "few sites":
        least = 9
    for k, frame in enumerate(frames):
        given = frame.drop(columns="age") if fault == "column" else frame
        try:
            released = release_privately(
                study_of(**changes),
                FrameSource(given),
                privacy,
                Ledger(tmp_path / f"{k}.sqlite"),
                WIRE,
                site="north",
                least=least,
            )
        except FedglmmError as error:
            seen.add((error.code, error.public, error.detail))
        else:
            shape = (released.release_set, released.order, released.noise)
            seen.add((*map(str, shape), len(released.clusters[0].values)))

    assert len(seen) == 1


def test_the_noise_is_around_the_clipped_sums(tmp_path):
    """Nearly without noise the release is the sums, up to clipping."""
    privacy = Privacy("people", 50.0, 1e-2, 1000.0, clipping_norm=8.0)
    frame, study = rows_of(4000), study_of()
    released = release_privately(
        study,
        FrameSource(frame),
        privacy,
        Ledger(tmp_path / "l"),
        WIRE,
        site="north",
    )
    noise, one = released.noise, released.clusters[0]
    assert noise is not None
    at = [(s.role, any(s.monomial)) for s in study.statistics(2)].index(("y", False))

    assert abs(one.values[at] - frame["y"].sum()) < 5.5 * noise.sds[at] + 1
    assert abs((one.noisy_rows or 0) - 4000) < 5.5 * noise.sds[-1] + 1


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 3.0, 10.0])
def test_prices_are_those_of_opendp(epsilon):
    """The price of the mechanism as a whole, checked where it is drawn."""
    gaussian = DiscreteGaussian(5, 2 * radius(2.2), epsilon, 1e-6)

    assert gaussian.rho == pytest.approx(zcdp_of(epsilon, 1e-6), rel=1e-6)
    assert epsilon_of(gaussian.rho, 1e-6) <= epsilon
    assert epsilon_of(zcdp_of(epsilon, 1e-6), 1e-6) == pytest.approx(epsilon, rel=1e-6)
    assert epsilon_of(0.0, 1e-6) == 0.0


def test_a_mechanism_that_would_cost_more_is_not_drawn(monkeypatch):
    """The price is asserted on the very measurement that draws."""
    gaussian = DiscreteGaussian(2, radius(1.5), 1.0, 1e-6)
    halved = property(lambda _: 0.5 * 4.53 * radius(1.5))
    monkeypatch.setattr(DiscreteGaussian, "scale", halved)

    with pytest.raises(LedgerError, match="does not keep"):
        gaussian.draw([1, 2])


def test_columns_of_the_model_alone_need_bounds(answer):
    """Whatever else is declared stays unread."""
    extra = Column("unused", "continuous")
    study = study_of(columns=(AGE, STAGE, Column("y", "binary"), extra))

    assert answer(study).noise is not None


def audited(scale_of: float) -> float:
    """
    Lower bound of epsilon that 20,000 draws on either side of a pair prove.

    Clopper and Pearson's bounds at one in a hundred million for each event, so that
    no run is wrong by chance.
    """
    gaussian = DiscreteGaussian(20_000, radius(1.5), 1.0, 1e-6)
    distance = round(radius(1.5) / scale_of)
    without = np.array(gaussian.draw([0] * 20_000))
    beside = np.array(gaussian.draw([distance] * 20_000))
    best = -math.inf
    for threshold in np.arange(0.0, 3.0, 0.25) * gaussian.scale:
        hits, others = int((beside > threshold).sum()), int((without > threshold).sum())
        low = float(beta.ppf(1e-8, hits, 20_001 - hits)) if hits else 0.0
        high = float(beta.ppf(1 - 1e-8, others + 1, 20_000 - others))
        if low > 1e-6:
            best = max(best, math.log((low - 1e-6) / high))
    return best


def test_an_audit_finds_no_more_loss_than_is_told_and_a_quarter_of_the_noise():
    """Neighbours at the distance of the proof; then at four times that."""
    assert audited(1.0) <= 1.0
    assert audited(0.25) > 1.0
