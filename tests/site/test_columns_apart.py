"""Two columns that differ in few patients, in two answers or in one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.site import FrameSource, Policy, SiteMemory, release
from fedglmm_flower.site.scored import Point
from fedglmm_flower.site.scoring import score
from fedglmm_flower.study import Column
from tests.site.conftest import COLUMNS, ask, patients

MORE = (
    *COLUMNS,
    Column("age2", "continuous", low=0.0, high=120.0, center=50.0, scale=7.0),
    Column("count2", "continuous", low=0.0),
    Column("died2", "binary"),
    Column("exposure2", "continuous", low=0.0),
    Column("trials2", "continuous", low=0.0),
    Column("weight2", "continuous"),
)
DIED = ask("died ~ age + female", "binomial", columns=MORE, order=1)


def asked(formula, family="binomial", order=1, **more):
    """A study of the table with copies."""
    return ask(formula, family, columns=MORE, order=order, **more)


def copied(table, rows):
    """A table with a copy of each column, corrected in some rows."""
    frame, few = table.copy(), table.loc[rows]
    frame["age2"], frame["exposure2"] = table.age, table.exposure
    frame.loc[rows, "age2"] += 3.25
    frame.loc[rows, "exposure2"] += 0.125
    # By a value that others have: a rare one is refused for itself.
    for name, most in (("count", 3), ("trials", 7), ("weight", 1)):
        frame[name] = table[name].clip(upper=most).astype(float)
        frame[f"{name}2"] = frame[name]
    frame.loc[rows, "count2"] = (few["count"] < 1).astype(float)
    frame.loc[rows, "trials2"] = np.where(few.trials < 7, few.trials + 1, 6)
    frame.loc[rows, "weight2"] = np.where(few.weight < 1, 1.0, 0.5)
    frame["died2"] = table.died
    frame.loc[rows, "died2"] = 1 - table.died[rows]
    return frame


@pytest.fixture
def site(tmp_path):
    """What one site answers, in the order of asking."""
    memory = SiteMemory(tmp_path / "site")

    def answered(study, frame):
        source = FrameSource(frame)
        return release(study, source, Policy(), site="north", memory=memory)

    return answered


def test_a_corrected_copy_is_a_patient_by_subtraction(table, site):
    """Her correction is told to all digits without a memory of answers."""
    frame = copied(table, [17])
    other = asked("died ~ age2 + female")
    sums = []
    for study, center, scale in ((DIED, 60, 10), (other, 50, 7)):
        at = [a.name.startswith("age") for a in study.moment_model.atoms]
        names = [(s.role, s.monomial) for s in study.statistics(1)]
        one = release(study, FrameSource(frame), Policy(), site="north").clusters[0]
        sum_of = one.values[names.index(("x", tuple(map(int, at))))]
        sums.append(center * len(frame) + scale * sum_of)
    assert sums[1] - sums[0] == pytest.approx(3.25)

    site(DIED, frame)
    with pytest.raises(DisclosureError, match="1 rows differ between 'age2'") as told:
        site(other, frame)
    assert "age' of study" in str(told.value)


@pytest.mark.parametrize("few", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (DIED, asked("died ~ age2 + female")),
        (DIED, asked("died ~ log(age2) + I(age2**2) + female")),
        (DIED, asked("died2 ~ age + female")),
        (
            asked("count ~ female", "poisson"),
            asked("count2 ~ female", "poisson"),
        ),
        (
            asked("died ~ age", weights="weight"),
            asked("died ~ age", weights="weight2"),
        ),
        (
            asked("count ~ age", trials="trials"),
            asked("count ~ age", trials="trials2"),
        ),
        (
            asked("count ~ female + offset(log(exposure))", "poisson"),
            asked("count ~ female + offset(log(exposure2))", "poisson"),
        ),
    ],
)
def test_no_column_differs_in_few_patients(table, site, first, second, few):
    """Whatever its part in the model; many patients hide in one another."""
    frame = copied(table, list(range(few)))
    site(first, frame)
    with pytest.raises(DisclosureError, match=r"differencing: [1-4] rows"):
        site(second, frame)


def test_sums_of_many_powers_need_more_corrected_patients(table, site):
    """Five corrections are solved for from the sums of order six, not of order one."""
    frame = copied(table.assign(died=table.died.mask(table.index < 5, 1)), range(5))
    for order, refused in ((1, False), (6, True)):
        first, second = (
            asked(f"died ~ {age} + cost", order=order, accept=(("canonical", order),))
            for age in ("age", "age2")
        )
        site(first, frame)
        if not refused:
            site(second, frame)
            continue
        with pytest.raises(DisclosureError, match="5 rows differ between 'age2'"):
            site(second, frame)


def test_a_copy_is_compared_level_by_level(table, site):
    """Forty patients were corrected, of whom three are women."""
    women, men = (np.flatnonzero(table.female == code) for code in (1, 0))
    frame = copied(table, [*women[:3], *men[:37]])
    alike = [asked(f"died ~ {name} + female", order=1) for name in ("age", "age2")]
    for study in alike:
        site(study, frame)
    finer = [replace(s, order=2, accept=(("canonical", 2),)) for s in alike]
    site(finer[0], frame)
    with pytest.raises(DisclosureError, match="3 rows differ between 'age2'"):
        site(finer[1], frame)


def test_a_value_that_was_corrected_between_two_studies_is_told(table, site):
    """The same column, of a table that was corrected in two rows."""
    site(DIED, copied(table, []))
    frame = copied(table, [])
    frame.loc[[5, 300], "age"] += 1
    with pytest.raises(DisclosureError, match=r"[12] rows differ between 'age' here"):
        site(asked("died ~ age + female + cost"), frame)


def test_patients_are_counted_and_not_their_visits(table, tmp_path):
    """Six corrected rows of one patient are one."""
    frame = copied(table.assign(died=table.died.mask(table.index < 6, 1)), range(6))
    frame = frame.assign(patient=[f"p{i // 6}" for i in range(400)])
    other = asked("died ~ age2 + female")

    def both(policy, memory):
        for study in (DIED, other):
            source = FrameSource(frame)
            release(study, source, policy, site="north", memory=memory)

    both(Policy(), SiteMemory(tmp_path / "rows"))
    with pytest.raises(DisclosureError, match="1 units differ"):
        both(Policy(unit="patient"), SiteMemory(tmp_path / "units"))


@pytest.mark.parametrize("few", [1, 3, 4])
def test_a_copy_beside_its_column_is_refused(table, few):
    """The sums of both are in one release; the gate's shares alone let it pass."""
    frame = copied(table, range(few))
    for study in (asked("died ~ age + age2"), asked("died ~ age + died2")):
        with pytest.raises(DisclosureError, match="disclosure"):
            release(study, FrameSource(frame), Policy(), site="north")
    many = copied(table, range(40))
    release(asked("died ~ age + age2"), FrameSource(many), Policy(), site="north")
    off = Policy(enabled=False)
    release(asked("died ~ age + age2"), FrameSource(frame), off, site="north")


def test_a_likelihood_is_compared_by_columns_too(table, tmp_path):
    """Where all linear predictors are equal it holds the sums of both columns."""
    memory = SiteMemory(tmp_path / "site")
    frame = copied(table, [1, 2])

    def scored(formula, **more):
        study = asked(formula, rounds=2, **more)
        nowhere = (0.0,) * Frame.of(study.model).size
        return score(
            study, FrameSource(frame), Policy(), Point(1, 1, nowhere),
            site="north", asked=memory, memory=memory,
        )  # fmt: skip

    scored("died ~ age + (1 | hospital)")
    with pytest.raises(DisclosureError, match="2 rows differ between 'age2'"):
        scored("died ~ age2 + (1 | hospital)")


def test_ordinary_studies_of_one_table_are_answered(table, site):
    """The same columns, others, one squared, other units, and a batch of patients."""
    frame = copied(table, [])
    ordinary = (
        DIED,
        replace(DIED, order=2, accept=(("canonical", 2),)),
        asked("died ~ age + I(age**2) + female", order=2),
        asked("died ~ cost + stage", order=2),
        asked("died ~ count + trials + stage", order=2),
        asked("died ~ age2 + female", order=2),
        asked("count ~ log(cost) + stage + offset(log(exposure))", "poisson", order=2),
        asked("cost ~ age + female + stage", "gaussian", order=2),
    )
    for study in ordinary:
        assert site(study, frame).clusters[0].n_rows == 400

    grown = pd.concat([table, patients(60, 5)], ignore_index=True)
    later = replace(DIED, name="a year later")
    assert site(later, copied(grown, [])).clusters[0].n_rows == 460


WARD = Column("ward", "categorical", levels=("b", "a"))
NUMBER = Column("first", "continuous", low=0.0, high=1.0)


@pytest.mark.parametrize("few", [2, 4, 5])
@pytest.mark.parametrize(
    ("formula", "weights"),
    [
        ("cost ~ age + first", None),
        ("cost ~ age + offset(first)", None),
        ("cost ~ age", "first"),
        ("first ~ age", None),
    ],
)
def test_a_level_and_a_number_of_two_values_are_compared(
    table, site, formula, weights, few
):
    """The ages of whom only one of them has are their difference, whatever it is."""
    ward = np.where(np.arange(len(table)) % 3 == 0, "a", "b")
    first = (ward == "a").astype(float)
    first[:few] = 1 - first[:few]
    frame = table.assign(ward=ward, first=first)
    columns = (*COLUMNS, WARD, NUMBER)
    level = ask("cost ~ age + ward", columns=columns, order=2)
    number = ask(formula, columns=columns, order=2, weights=weights)
    both = ask(f"{formula} + ward", columns=columns, order=1, weights=weights)
    site(level, frame)
    if few == 5:
        site(number, frame)
        return
    with pytest.raises(DisclosureError, match=f"differencing: {few} rows"):
        site(number, frame)
    within = f"in {few} rows, of all or of a cell|rows in a cell of ward"
    with pytest.raises(DisclosureError, match=within):
        release(both, FrameSource(frame), Policy(), site="north")


@pytest.mark.parametrize("seed", [0, 5, 7])
def test_rare_values_of_a_count_are_no_copies_of_one_another(seed, tmp_path):
    """A model and the next one, of a response of few values: ordinary questions."""
    rng = np.random.default_rng(seed)
    frame = patients(600, seed=seed)
    frame = frame.assign(count=rng.poisson(1.2, 600).astype(float))
    assert 0 < frame["count"].value_counts().min() < 5
    memory = SiteMemory(tmp_path)
    for formula in ("count ~ age + female", "count ~ age + female + cost"):
        for order in (1, 2):
            study = ask(formula, "poisson", order=order)
            source = FrameSource(frame)
            made = release(study, source, Policy(), site="north", memory=memory)
            assert made.order == order
