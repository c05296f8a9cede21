"""What is said of clusters that no site sent on their own."""

from collections.abc import Iterable, Mapping

from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.site.released import SmallClusters, Treatment

_WORDS: Mapping[Treatment, str] = {
    "pooled": (
        "each site counts its own as one cluster, so that their differences are not "
        "in the standard deviations"
    ),
    "left_out": (
        "estimates are those of the larger clusters, and differ where small ones do"
    ),
}


def small_warnings(opened: Mapping[str, Opened]) -> list[str]:
    """
    One sentence for the clusters that were pooled, and one for those left out.

    Leaves the coordinator: counts over all sites.

    Parameters
    ----------
    opened : mapping
        Sites that are used.
    """
    small = [o.released.small for o in opened.values() if o.released.small is not None]
    found = []
    for treatment, words in _WORDS.items():
        those = [one for one in small if one.treatment == treatment]
        if those:
            done = treatment.replace("_", " ")
            found.append(
                f"{sum(one.clusters for one in those)} clusters of {len(those)} sites, "
                f"{_rows(those)} rows, did not pass the sites' disclosure policy on "
                f"their own and were {done}: {words}"
            )
    return found


def _rows(those: Iterable[SmallClusters]) -> str:
    counts = [one.n_rows for one in those]
    total = sum(count for count in counts if count is not None)
    if None in counts:
        return f"more than {total}" if total else "a few"
    return str(total)
