"""Rows that a penalty is judged on: which of them follows from study and rows alone."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.glmm.rows import BoolArray, FloatArray
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site.scored import Part
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.study.study import Study

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowsOf:
    """
    A table of which some rows are held out, as a source of its own.

    Law: whether a row is held out depends on the study's digest, on what the row says,
    and on how many like it came before; so that the parts are the same in every round,
    on every machine, and however the table is sorted.  The parts are disjoint and make
    up the table.

    Parameters
    ----------
    source : TableSource
        The whole table.
    study : Study
        Its ``held_out`` is the share.
    part : {"all", "kept", "held-out"}
        Which rows.
    """

    source: TableSource
    study: Study
    part: Part

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.source.name

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`~fedglmm_flower.site.source.TableSource`."""
        if self.part == "all":
            yield from self.source.batches(columns, rows)
            return
        for frame, wanted in self._divided(columns, rows):
            yield frame.loc[wanted, list(columns)].reset_index(drop=True)

    def places(self, rows: int) -> IntArray:
        """
        Where in the whole table the rows of a kept or held-out part stand.

        Stays at the site.

        Parameters
        ----------
        rows : int
            Rows that are read at once.
        """
        taken, first = [np.zeros(0, dtype=np.int64)], 0
        for frame, wanted in self._divided((), rows):
            taken.append(first + np.flatnonzero(wanted))
            first += len(frame)
        return np.concatenate(taken)

    def _divided(
        self, columns: Sequence[str], rows: int
    ) -> Iterator[tuple[pd.DataFrame, BoolArray]]:
        """Batches of the whole table, and which of their rows are of the part."""
        model = self.study.model
        used = [model.columns[name] for name in sorted(model.used_columns)]
        read = list(dict.fromkeys([*columns, *(column.name for column in used)]))
        seen: Counter[bytes] = Counter()
        first = 0
        for frame in self.source.batches(read, rows):
            table = typed_table(frame, used, where=self.name, first_row=first + 1)
            first += len(frame)
            words = np.column_stack(
                # One spelling of zero.
                [np.asarray(table.columns[c.name], np.float64) + 0.0 for c in used]
            )
            held = self._held_out(words, seen)
            yield frame, held if self.part == "held-out" else ~held

    def _held_out(self, words: FloatArray, seen: Counter[bytes]) -> BoolArray:
        key = bytes.fromhex(self.study.digest)
        share = self.study.held_out * 2.0**64
        found = np.zeros(len(words), dtype=np.bool_)
        for i, row in enumerate(words):
            content = row.tobytes()
            seen[content] += 1
            text = content + seen[content].to_bytes(8, "little")
            made = hashlib.blake2b(text, key=key, digest_size=8)
            found[i] = int.from_bytes(made.digest(), "little") < share
        return found
