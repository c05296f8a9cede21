"""CSV files as hospitals export them, and as they arrive after accidents."""

import pandas as pd
import pytest

from fedglmm_flower.errors import DataError
from fedglmm_flower.site.source import CsvSource, FrameSource


def read(tmp_path, content, columns=("x", "y"), rows=2):
    """Cells of the columns, batch by batch."""
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    batches = list(CsvSource(path).batches(columns, rows))
    assert all(list(batch.columns) == list(columns) for batch in batches)
    assert all(len(batch) <= rows for batch in batches)
    return [tuple(row) for batch in batches for row in batch.to_numpy().tolist()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x,y\n1,2\n3,4\n5,6\n", [("1", "2"), ("3", "4"), ("5", "6")]),
        (b"\xef\xbb\xbfx,y\r\n1,2\r\n", [("1", "2")]),
        (b"x,y\r1,2\r", [("1", "2")]),
        (b"y,other,x\n1,2,3", [("3", "1")]),
        (b'x,y\n"1,5","a\nb"\n2,"c ""d"""\n', [("1,5", "a\nb"), ("2", 'c "d"')]),
        (b"x,y\n1,2\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        (b"x,y\n,\n", [("", "")]),
        (b"x,y\nNA,null\n", [("NA", "null")]),
        (b"x,z,z,y\n1,2,3,4\n", [("1", "4")]),
        (b"x,y\n#1, 2 \n", [("#1", " 2 ")]),
        ("x,y\n1,über\n".encode(), [("1", "über")]),
        (b"x,y\n", []),
        (b"x,y", []),
        (b"x,y\n1,5\x001\n", [("1", "5\x001")]),
    ],
)
def test_cells_are_read_as_the_text_they_are(tmp_path, content, expected):
    """The study says what they mean; no spelling of missing is guessed here."""
    assert read(tmp_path, content) == expected


def test_a_blank_line_of_a_table_of_one_column_is_an_empty_cell(tmp_path):
    """There a missing value has no comma to show itself."""
    assert read(tmp_path, b"x\n1\n\n3\n", ("x",)) == [("1",), ("",), ("3",)]


def test_columns_come_in_the_order_that_was_asked_for(tmp_path):
    """Whatever the order of the file."""
    assert read(tmp_path, b"y,x\n1,2\n", ("x", "y")) == [("2", "1")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n", "is missing"),
        (b"x;y\n1;2\n", "found x;y; add"),
        (b"x\n1\n", "column 'y' is missing"),
        (b"x,y,x\n1,2,3\n", "column 'x' stands 2 times"),
        (b"63.5,171\n64,180\n", "look like a row"),
        (b"x,y\n1,2\n3", "row 2 has 1 cells and the header has 2"),
        (b"x,y\n1,2\n3,4\n5,6,7\n", "row 3 has 3 cells and the header has 2"),
        (b"x,y,z\n1,5,2,3\n", "row 1 has 4 cells"),
        (b"x,y,z\n1,2\n", "row 1 has 2 cells"),
        (b'x,y\n1,"2\n3,4\n', "no valid CSV table"),
        (b'x,y\n1,"2"3\n', "no valid CSV table"),
        (b'"x,y\n1,2\n', "no valid CSV table"),
        (b"x,y\n1,m\xfcller\n", "is not in UTF-8"),
        (b"x,\xff\n1,2\n", "is not in UTF-8"),
        ("x,y\n1,2\n".encode("utf-16"), "is not in UTF-8"),
        (b"x,y\n1," + b"7" * 200_000 + b"\n", "no valid CSV table"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, content, says):
    """By the file's name, and without what it holds."""
    with pytest.raises(DataError, match=r"^export\.csv: ") as caught:
        read(tmp_path, content)

    assert says in str(caught.value)
    assert not any(cell in str(caught.value) for cell in ("63.5", "171", "777", "ller"))


def test_rows_before_a_fault_do_not_hide_it(tmp_path):
    """A cut-off last line is found after any number of batches."""
    content = b"x,y\n" + b"1,2\n" * 1000 + b"3"
    with pytest.raises(DataError, match="row 1001 has 1 cells"):
        read(tmp_path, content, rows=64)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """By name, not by the whole path."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match=rf"^{path.name}: cannot be read"):
            list(CsvSource(path).batches(["x"], 10))


def test_a_frame_is_cut_into_batches():
    """The same contract for rows in memory."""
    source = FrameSource(pd.DataFrame({"y": range(5), "x": range(5)}), "mine")
    batches = list(source.batches(["x"], 2))

    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert all(list(batch.columns) == ["x"] for batch in batches)
    with pytest.raises(DataError, match=r"^mine: column 'z' is missing"):
        list(source.batches(["z"], 2))
