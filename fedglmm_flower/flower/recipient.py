"""Which key of the coordinator, the present or an earlier one, a run was sealed to."""

from collections import Counter
from collections.abc import Iterable

from fedglmm_flower.envelope import EnvelopeRefusedError, read_header


def recipient_of(sealed: Iterable[bytes]) -> str | None:
    """
    The key that most releases claim: one run has one key.

    Parameters
    ----------
    sealed : iterable of bytes
        Anything; what is no sealed message is told elsewhere.

    Returns
    -------
    str or None
        Identifier of a key, unproven; None if nothing claims one.
    """
    claimed: Counter[str] = Counter()
    for message in sealed:
        try:
            claimed[read_header(message).recipient] += 1
        except EnvelopeRefusedError:
            continue
    return claimed.most_common(1)[0][0] if claimed else None
