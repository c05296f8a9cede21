"""Planted values: no exception, log or release of a site repeats a cell or a sum."""

import io
import logging
import struct
import traceback

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.envelope import encode_release
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm.propose import Question, propose_columns
from fedglmm_flower.site import CsvSource, FrameSource, Policy, TableSource, release
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study import Column, Study

NUMBER = 73.918264
LEVEL = "stage-IV-of-patient-4711"
FORMULA = "died ~ age + log(cost) + stage + (1 | hospital)"
COLUMNS = (
    Column("age", "continuous", low=0.0, high=120.0, center=60.0, scale=10.0),
    Column("cost", "continuous"),
    Column("died", "binary"),
    Column("stage", "categorical", ("I", "II", LEVEL)),
    Column("weight", "continuous"),
)


def study(family="binomial", **changes):
    """A study of the planted columns."""
    links = {"binomial": "logit", "poisson": "log", "gaussian": "identity"}
    parts = {
        "name": "planted",
        "formula": FORMULA,
        "family": family,
        "link": links[family],
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "hospital",
        "columns": COLUMNS,
        "sites": ("north",),
        "order": 2,
        **changes,
    }
    return Study(**parts)


@pytest.fixture
def table(rng) -> pd.DataFrame:
    """Two hundred rows; one has a unique number."""
    frame = pd.DataFrame(
        {
            "age": rng.uniform(40, 80, 200).round(6),
            "cost": rng.uniform(1, 9, 200).round(6),
            "died": np.arange(200.0) % 2,
            "stage": ["I", "II", "I", "I", "II"] * 40,
            "weight": 1.0,
        }
    ).astype({"stage": object})
    frame.loc[17, "age"] = NUMBER
    return frame


def texts(caught: pytest.ExceptionInfo[FedglmmError]) -> str:
    """All that could be logged of an exception: its words, causes and arguments."""
    error: BaseException = caught.value
    chain = "".join(traceback.format_exception_only(error)) + repr(error.args)
    while shown := error.__cause__ or (
        None if error.__suppress_context__ else error.__context__
    ):
        error = shown
        chain += "".join(traceback.format_exception_only(error)) + repr(vars(error))
    return chain + caught.value.public + caught.value.code


FAULTS: dict[str, dict[str, object]] = {
    "text": {"age": f"{NUMBER} years"},
    "out of bounds": {"age": NUMBER * 1e6},
    "infinite": {"age": f"{NUMBER}e999"},
    "undeclared level": {"stage": f"V{NUMBER}"},
    "no event": {"died": NUMBER},
    "undefined": {"cost": -NUMBER},
    "decimal comma": {"cost": str(NUMBER).replace(".", ",")},
}


@pytest.mark.parametrize("kind", ["frame", "file"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_cell_is_never_quoted(table, tmp_path, fault, kind):
    """Its row and column are enough to find it."""
    for column, value in FAULTS[fault].items():
        table[column] = table[column].astype(object)
        table.loc[17, column] = value
    source: TableSource = FrameSource(table)
    if kind == "file":
        table.to_csv(tmp_path / "rows.csv", index=False)
        source = CsvSource(tmp_path / "rows.csv")
    with pytest.raises(FedglmmError) as caught:
        summarise(study(), source, site="north")

    assert "918264" not in texts(caught)
    assert "73,9" not in texts(caught)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.split("\n", 1)[1],  # no header: the first row stands there
        lambda text: text.replace(f"{NUMBER},", f"{NUMBER},{NUMBER},"),
        lambda text: text.replace(f"{NUMBER},", f'"{NUMBER},'),
        lambda text: text.replace(f"{NUMBER},", f"{NUMBER}"),
        lambda text: text.replace(f"{NUMBER},", f"{NUMBER}é,"),
    ],
    ids=["header", "long", "quote", "short", "encoding"],
)
def test_a_damaged_file_is_never_quoted(table, tmp_path, damage):
    """Parsers like to show the line; this one must not."""
    table = pd.concat([table[17:18], table])
    text = damage(table.to_csv(index=False))
    (tmp_path / "rows.csv").write_text(text, encoding="latin-1")
    with pytest.raises(FedglmmError) as caught:
        summarise(study(), CsvSource(tmp_path / "rows.csv"), site="north")

    assert "918264" not in texts(caught)


def test_a_refusal_holds_no_sum_and_no_value(table):
    """The local message has counts and shares; the public one has neither."""
    table.loc[[17, 18], "stage"] = LEVEL
    policy = Policy(min_rows=1000, dominance_one=0.001)
    moments = summarise(study(), FrameSource(table), site="north")
    with pytest.raises(FedglmmError) as caught:
        release(study(), FrameSource(table), policy, site="north")
    words = texts(caught)
    sums = [v for v in moments.values if not float(v).is_integer()]
    spellings = {f"{v:.{k}g}" for v in sums for k in (5, 6, 8, 12)}
    spellings |= {repr(float(v)) for v in sums}
    largest = {f"{d.largest:.{k}g}" for d in moments.dominance.values() for k in (4, 6)}

    assert "smallest cell: 2 rows" in words
    assert [s for s in spellings | largest if len(s) > 3 and s in words] == []
    assert LEVEL not in words
    assert not any(c.isdigit() for c in caught.value.public)


def test_an_answer_writes_no_log_and_prints_nothing(table, capfd):
    """A node's output may be collected by others."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        release(study(), FrameSource(table), Policy(), site="north")
        with pytest.raises(FedglmmError):
            release(study(), FrameSource(table[:9]), Policy(), site="north")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    assert stream.getvalue() == ""
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("family", ["binomial", "poisson", "gaussian"])
def test_no_cell_is_found_in_the_bytes_of_a_release(table, family):
    """Neither a number as text, nor as a float; nor a level that has no patient."""
    question = study(family)
    released = release(question, FrameSource(table), Policy(), site="north")
    sent = encode_release(released)
    cells = {float(v) for name in ("age", "cost") for v in table[name]}
    logs = {float(np.log(v)) for v in table["cost"]}
    scaled = {(v - 60.0) / 10.0 for v in table["age"]}
    values = set(released.clusters[0].values)

    assert values.isdisjoint(cells | logs | scaled)
    assert [v for v in cells if repr(v).encode() in sent] == []
    assert [v for v in cells if struct.pack("<d", v) in sent] == []
    assert LEVEL.encode() not in sent


def test_a_proposal_quotes_no_faulty_cell(table):
    """Also where the whole table may be seen: its log may not."""
    from fedglmm_flower.study import parse_formula

    table["age"] = table["age"].astype(object)
    table.loc[17, "age"] = f"{NUMBER} years"
    question = Question(
        parse_formula(FORMULA), "binomial", "logit", None, None, None, {}
    )
    with pytest.raises(FedglmmError) as caught:
        propose_columns(question, table)

    assert "918264" not in texts(caught)
