"""Privacy mechanisms: from a cleared summary to a released one."""

import math
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from fedglmm_flower.site.gate import Cleared
from fedglmm_flower.site.released import ClusterRelease, Released, Spent


class Mechanism(Protocol):
    """Turns a cleared summary into a released one and says what that cost."""

    def release(self, cleared: Cleared) -> Released:
        """Release a summary."""
        ...


class NoNoise:
    """
    The mechanism that adds nothing: infinite epsilon, said aloud.

    Leaves the site: the sums of the cleared set, the number of complete rows and of
    dropped rows, the order, and the site's name.
    """

    def release(self, cleared: Cleared) -> Released:
        """Release the sums as they are."""
        moments = cleared.moments
        values = tuple(float(v) for v in cleared.values)
        return Released(
            site=moments.site,
            study_digest=moments.study_digest,
            release_set=cleared.release_set,
            order=cleared.order,
            n_missing=moments.n_missing,
            clusters=(ClusterRelease((), moments.n_rows, values),),
            spent=Spent("none", math.inf, 0.0, "none"),
            software=_software(),
        )


def _software() -> str:
    try:
        return f"fedglmm-flower {version('fedglmm-flower')}"
    except PackageNotFoundError:
        return "fedglmm-flower"
