"""Privacy mechanisms: from a cleared summary to a released one."""

import math
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from fedglmm_flower.site.clusters import ClearedSite
from fedglmm_flower.site.released import ClusterRelease, Released, Spent


class Mechanism(Protocol):
    """Turns a site's cleared summary into a released one and says what that cost."""

    def release(self, cleared: ClearedSite) -> Released:
        """Release a summary."""
        ...


class NoNoise:
    """
    The mechanism that adds nothing: infinite epsilon, said aloud.

    Leaves the site: for each cluster its name, the sums of the cleared set and the
    number of complete rows; the number of dropped rows, how many clusters were pooled
    or left out, the order, and the site's name.
    """

    def release(self, cleared: ClearedSite) -> Released:
        """Release the sums as they are."""
        first = next(iter(cleared.clusters.values()))
        clusters = tuple(
            ClusterRelease(path, one.moments.n_rows, tuple(map(float, one.values)))
            for path, one in sorted(cleared.clusters.items())
        )
        return Released(
            site=first.moments.site,
            study_digest=first.moments.study_digest,
            release_set=first.release_set,
            order=first.order,
            n_missing=cleared.n_missing,
            clusters=clusters,
            spent=Spent("none", math.inf, 0.0, "none"),
            software=software_name(),
            small=cleared.small,
        )


@cache
def software_name() -> str:
    """Name and version of the software, as a release states them."""
    try:
        return f"fedglmm-flower {version('fedglmm-flower')}"
    except PackageNotFoundError:
        return "fedglmm-flower"
