"""What a ledger adds up, and what makes two requests the same."""

import hashlib
import json
import math
from typing import Final

from fedglmm_flower.site.privacy import Privacy
from fedglmm_flower.study.offers import Offer, write_offer
from fedglmm_flower.study.study import Study

NANO: Final = 10**9
# Raised when the same policy and table would give sums of another meaning.
MECHANISM_VERSION: Final = 1


def nano(rho: float, *, up: bool) -> int:
    """
    A privacy loss in whole billionths of rho: prices round up, caps down.

    Examples
    --------
    >>> nano(0.0000000015, up=True), nano(0.0000000015, up=False)
    (2, 1)
    """
    return math.ceil(rho * NANO) if up else math.floor(rho * NANO)


def request_hash(
    study: Study, privacy: Privacy, offer: Offer, *, site: str, snapshot: str
) -> str:
    """
    Identity of a request: the table, the study and the mechanism, not the run.

    A study that is asked again is the same request and gets the same noise, so that
    nobody can average it away.
    """
    plain = {
        "clusters": [list(path) for path in privacy.clusters],
        "delta": privacy.delta,
        "epsilon": privacy.epsilon,
        "mechanism": MECHANISM_VERSION,
        "norm": privacy.clipping_norm,
        "offer": write_offer(offer),
        "relation": privacy.relation,
        "site": site,
        "snapshot": snapshot,
        "study": study.digest,
        "unit": privacy.unit_column,
    }
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
