"""What each row says in each column, as short keyed marks: equal, or corrected."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.dominance import watched_columns
from fedglmm_flower.site.keyed_words import Words, mix, words_of
from fedglmm_flower.study.model import Model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Marks = npt.NDArray[np.uint16]
_PURPOSE = b"fedglmm column marks 1"
_KEPT_BITS = np.uint64(48)
_TWO = 2


@dataclass(frozen=True)
class Marker:
    """
    Sixteen bits of a keyed hash of a number.

    Laws: equal numbers have equal marks, in every column, study and year; numbers that
    differ in their last bit have different marks but for one in 65,536.  Two columns
    that differ in some rows hence seem equal with a probability of 2**-16 for one row
    and of 2**-16 to the power of k for k rows, and never seem to differ where they do
    not.

    A mark is of a row, and of few bits: with the secret it tells a number among few
    possible ones.  Marks stay where the secret is, at the site.

    Parameters
    ----------
    secret : array of two words
        What the site's key decides; the second is odd.
    """

    secret: Words

    @classmethod
    def of(cls, key: bytes) -> Self:
        """From the site's secret, of at most 64 bytes."""
        made = hashlib.blake2b(_PURPOSE, key=key, digest_size=16).digest()
        words = np.frombuffer(made, "<u8").astype(np.uint64)
        words[1] |= np.uint64(1)
        return cls(words)

    def marks(self, values: FloatArray) -> Marks:
        """
        Of an array of numbers, both zeros being one.

        Examples
        --------
        >>> one, other = Marker.of(b"site").marks(np.array([0.1, -0.0])), Marker.of(
        ...     b"site").marks(np.array([0.1 + 1e-16, 0.0]))
        >>> (one == other).tolist()
        [False, True]
        """
        words = words_of(values)
        scratch = np.empty_like(words)
        words ^= self.secret[0]
        mix(words, scratch)
        words *= self.secret[1]
        mix(words, scratch)
        return (words >> _KEPT_BITS).astype(np.uint16)


def marked_columns(
    model: Model, columns: Mapping[str, FloatArray], rows: AtomRows
) -> dict[str, FloatArray]:
    """
    What sums are of, at its raw scale: another centre makes no other column.

    Columns and what is computed of them, also response, trials, weights and offset.
    Categorical columns are known by their levels.
    """
    marked = watched_columns(model, columns, rows)
    for name in model.used_columns:
        if model.columns[name].kind == "binary" or name == model.response.column:
            marked[name] = columns[name]
    return marked


def is_copy(one: Marks, two: Marks) -> bool:
    """
    Whether a column of numbers looks like another one with corrections.

    At least half of what is worth telling is the same: rows that both have at the most
    frequent value, as the zeros of two rare events, are not.  Columns of two values are
    sets of rows and compared as these; any two of them are equal in many rows.

    Examples
    --------
    >>> rare, other = np.zeros((2, 50), dtype=np.uint16)
    >>> rare[:9], other[20:29] = np.arange(1, 10), np.arange(1, 10)
    >>> is_copy(rare, other), is_copy(rare, np.append(rare[:-1], rare[:1]))
    (False, True)
    """
    counts = [np.bincount(marks, minlength=1) for marks in (one, two)]
    if max(int((count > 0).sum()) for count in counts) <= _TWO:
        return False
    usual, other = (int(count.argmax()) for count in counts)
    telling: BoolArray = (one != usual) | (two != other)
    same = int((telling & (one == two)).sum())
    return 2 * same >= int(telling.sum())
