"""A fingerprint of the rows that a study reads, taken while they are read."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import as_labels
from fedglmm_flower.site.keyed_words import Words, mix, words_of

FloatArray = npt.NDArray[np.float64]

_FORMAT = b"fedglmm snapshot 1"
_NO_LABEL = b"\x00"
# Rows whose words stay in the processor's cache from one step to the next.
_AT_ONCE = 8192


class Snapshot:
    """
    The fingerprint in the making: rows go in batch by batch, in any order.

    Law: two tables of the same rows have the same digest, whatever their order, their
    batches and the format that they were read from; tables that differ in one cell, or
    in how often a row stands, differ in their digests.

    A row is hashed to two 64-bit words and these are summed modulo 2**64, so an
    accidental change goes unseen with a probability of about 2**-100.  The site's
    secret enters every word: without it nobody can tell from a digest whether a guess
    of the rows is right, nor make another table of the same digest.  Digests stay at
    the site all the same.

    Parameters
    ----------
    key : bytes
        The site's secret, of at most 64 bytes; empty where nothing is stored, as in a
        simulation.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._sums = np.zeros(2, dtype=np.uint64)
        self._rows = 0
        self._secrets: dict[str, Words] = {}
        self._labels: dict[tuple[str, str], int] = {}

    def add(self, columns: Mapping[str, FloatArray], labels: pd.DataFrame) -> None:
        """
        Add a batch of rows, those with missing values too.

        Parameters
        ----------
        columns : mapping
            Name to values of shape (n,): numbers or codes of levels, NaN is missing.
        labels : DataFrame
            The columns that name clusters, of as many rows.
        """
        words: list[tuple[Words, FloatArray | Words]] = [
            (self._secret(f"column {name}"), values) for name, values in columns.items()
        ]
        words += [
            (self._secret(f"cluster {name}"), self._label_words(name, labels[name]))
            for name in labels.columns
        ]
        for start in range(0, len(labels), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            self._sums += _row_words([(s, words_of(v[part])) for s, v in words])
        self._rows += len(labels)

    def digest(self) -> str:
        """The fingerprint of all rows so far, of 64 hexadecimal digits."""
        names = "\0".join(sorted(self._secrets)).encode()
        sums = self._sums.astype("<u8").tobytes()
        content = _FORMAT + sums + self._rows.to_bytes(8, "little") + names
        return hashlib.blake2b(content, key=self._key, digest_size=32).hexdigest()

    def _secret(self, what: str) -> Words:
        """Three words that only the site and the name of the column decide."""
        if what not in self._secrets:
            made = hashlib.blake2b(what.encode(), key=self._key, digest_size=24)
            # Odd, so that to multiply by it loses nothing.
            words = np.frombuffer(made.digest(), "<u8").astype(np.uint64)
            self._secrets[what] = words | np.uint64(1)
        return self._secrets[what]

    def _label_words(self, name: str, series: pd.Series) -> Words:
        labels = as_labels(series)
        known = [self._label_word(name, str(label)) for label in labels.categories]
        # The code of a missing label is -1: the last of what is appended.
        absent = int.from_bytes(_NO_LABEL, "little")
        words: Words = np.array([*known, absent], dtype=np.uint64)[labels.codes]
        return words

    def _label_word(self, name: str, label: str) -> int:
        at = (name, label)
        if at not in self._labels:
            text = label.encode(errors="surrogatepass")
            made = hashlib.blake2b(text, key=self._key, digest_size=8)
            self._labels[at] = int.from_bytes(made.digest(), "little")
        return self._labels[at]


def require_unchanged(digests: Sequence[str], where: str) -> None:
    """
    Refuse a table that was another one at each pass over it.

    Raises
    ------
    DataError
        If the digests of the passes differ.
    """
    if len(set(digests)) > 1:
        raise DataError(
            f"{where}: the table changed while it was read; the same rows are required "
            "for the whole answer; answer again when nobody writes to it, or read "
            "from a copy"
        )


def _row_words(columns: Sequence[tuple[Words, Words]]) -> Words:
    """The two words of each row, summed."""
    sums = np.zeros(2, dtype=np.uint64)
    if not columns:
        return sums
    first = np.zeros_like(columns[0][1])
    second = np.zeros_like(first)
    scratch = np.empty_like(first)
    for secret, words in columns:
        # Mixed before they are added: numbers differ in few of their highest bits,
        # and these are lost in a sum of products.
        np.bitwise_xor(words, secret[0], out=words)
        mix(words, scratch)
        first += np.multiply(words, secret[1], out=scratch)
        second += np.multiply(words, secret[2], out=scratch)
    mix(first, scratch)
    second ^= first
    mix(second, scratch)
    sums[0] = first.sum(dtype=np.uint64)
    sums[1] = second.sum(dtype=np.uint64)
    return sums
