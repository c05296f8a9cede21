"""Numbers as 64-bit words, and how every bit of a word is spread over all of it."""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
_NAN = np.array([np.nan]).view(np.uint64)[0]
# Stafford's thirteenth variant of the murmur finaliser: one to one on 64-bit words.
_MULTIPLY = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def words_of(values: npt.NDArray[np.float64] | Words) -> Words:
    """The bits of numbers, with one spelling of zero and one of missing; a copy."""
    if values.dtype == np.uint64:
        return np.array(values, dtype=np.uint64)
    words: Words = (values.astype(np.float64) + 0.0).view(np.uint64)
    words[np.isnan(values)] = _NAN
    return words


def mix(words: Words, scratch: Words) -> None:
    """Spread every bit over the whole word, in place."""
    for shift, factor in zip(_SHIFTS, _MULTIPLY, strict=False):
        words ^= np.right_shift(words, shift, out=scratch)
        words *= factor
    words ^= np.right_shift(words, _SHIFTS[2], out=scratch)
