"""``Released`` <-> bytes: the format ``fedglmm-release/1``.

Canonical JSON (:mod:`fedglmm_flower.envelope.wire`) of one object::

    {"clusters": [{"cluster": [name, ...], "n_rows": whole | null,
                   "noisy_rows": float, "values": [float, ...]}, ...],
     "format": "fedglmm-release/1",
     "n_missing": whole | null,
     "noise": {"bits": 0..40, "norm": float, "rho": float, "scale": float,
               "unit": "row" | "unit", "weights": [float, ...]},
     "order": 1..12,
     "release_set": name,
     "site": name,
     "software": name,
     "spent": {"delta": float, "epsilon": float | "inf", "mechanism": name,
               "relation": "none" | "zero_out" | "add_remove" | "replace_one"},
     "small_clusters": {"clusters": whole, "n_rows": whole | null,
                        "treatment": "pooled" | "left_out"},
     "study_digest": 64 hex digits}

Every key is required and no other is read, but for ``small_clusters``, which is there
if and only if clusters were pooled or left out, and for ``noise`` and ``noisy_rows``
(:mod:`fedglmm_flower.envelope.noise_codec`), which are there if and only if the
mechanism is another than ``"none"``.  There is at least one cluster, no
cluster comes twice, and all have the same number of values.  ``epsilon`` is ``"inf"``
if and only if the mechanism and the relation are ``"none"``.
"""

import math
from typing import Final

from fedglmm_flower.envelope.fields import (
    MAX_WHOLE,
    check_format,
    digest_of,
    fields_of,
    finite_of,
    list_of,
    name_of,
    refuse,
    whole_of,
)
from fedglmm_flower.envelope.noise_codec import check_noise, plain_noise, read_noise
from fedglmm_flower.envelope.wire import MAX_BYTES, canonical_bytes, strict_parse
from fedglmm_flower.site.released import (
    ClusterRelease,
    Released,
    SmallClusters,
    Spent,
    Treatment,
)

RELEASE_FORMAT: Final = "fedglmm-release/1"
MAX_ORDER: Final = 12
RELATIONS: Final = ("none", "zero_out", "add_remove", "replace_one")

_KEYS: Final = (
    "clusters",
    "format",
    "n_missing",
    "order",
    "release_set",
    "site",
    "software",
    "spent",
    "study_digest",
)
_SMALL: Final = "small_clusters"
_NOISE: Final = "noise"


def encode_release(released: Released) -> bytes:
    """
    Write what a site released; nothing else can be written.

    Leaves the site: the bytes do, after sealing.

    Law: ``decode_release(encode_release(r)) == r``.

    Parameters
    ----------
    released : Released
        The last type of a summary at a site.

    Returns
    -------
    bytes
        Canonical JSON of format ``fedglmm-release/1``.

    Raises
    ------
    WireError
        If a field breaks the module's rules; then no receiver would read it.
    TypeError
        If given anything but a ``Released``.

    Examples
    --------
    >>> site = ClusterRelease((), 3, (3.0, 0.5))
    >>> none = Spent("none", math.inf, 0.0, "none")
    >>> one = Released("a", "0" * 64, "canonical", 2, 0, (site,), none, "x 1")
    >>> encode_release(one).decode()[:57]
    '{"clusters":[{"cluster":[],"n_rows":3,"values":[3.0,0.5]}'
    >>> decode_release(encode_release(one)) == one
    True
    """
    if not isinstance(released, Released):
        raise TypeError(f"only Released can be encoded, not {type(released).__name__}")
    plain = _plain_release(released)
    if _read_release(plain) != released:
        refuse("release", "a field of another type", "tuples and numbers are")
    return canonical_bytes(plain, where="release")


def decode_release(data: bytes, max_size: int = MAX_BYTES) -> Released:
    """
    Read what a site released.

    Law: ``encode_release(decode_release(b)) == b`` for every ``b`` not refused.

    Parameters
    ----------
    data : bytes
        What was unsealed.
    max_size : int
        Largest number of bytes that is looked at.

    Returns
    -------
    Released
        The release.

    Raises
    ------
    WireError
        If the bytes are not canonical JSON of a known format, or a field breaks the
        module's rules.  The message quotes no statistic.
    """
    return _read_release(strict_parse(data, max_size, where="release"))


def _plain_release(released: Released) -> dict[str, object]:
    spent, small, noise = released.spent, released.small, released.noise
    return {
        **({} if small is None else {"small_clusters": _plain_small(small)}),
        **({} if noise is None else {"noise": plain_noise(noise)}),
        "clusters": [_plain_cluster(entry) for entry in released.clusters],
        "format": RELEASE_FORMAT,
        "n_missing": released.n_missing,
        "order": released.order,
        "release_set": released.release_set,
        "site": released.site,
        "software": released.software,
        "spent": {
            "delta": _as_float(spent.delta),
            "epsilon": "inf" if spent.epsilon == math.inf else _as_float(spent.epsilon),
            "mechanism": spent.mechanism,
            "relation": spent.relation,
        },
        "study_digest": released.study_digest,
    }


def _plain_cluster(entry: ClusterRelease) -> dict[str, object]:
    noisy = entry.noisy_rows
    return {
        **({} if noisy is None else {"noisy_rows": _as_float(noisy)}),
        "cluster": list(entry.cluster),
        "n_rows": entry.n_rows,
        "values": [_as_float(value) for value in entry.values],
    }


def _plain_small(small: SmallClusters) -> dict[str, object]:
    return {
        "clusters": small.clusters,
        "n_rows": small.n_rows,
        "treatment": small.treatment,
    }


def _as_float(value: object) -> object:
    """An int where a float is meant is one; everything else is judged on reading."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) <= MAX_WHOLE else value
    return value


def _read_release(message: object) -> Released:
    where = "release"
    known = check_format(message, RELEASE_FORMAT, where)
    keys = (*_KEYS, *(key for key in (_SMALL, _NOISE) if key in known))
    fields = fields_of(known, keys, where)
    released = Released(
        site=name_of(fields["site"], "release, site"),
        study_digest=digest_of(fields["study_digest"], "release, study_digest"),
        release_set=name_of(fields["release_set"], "release, release_set"),
        order=whole_of(fields["order"], 1, MAX_ORDER, "release, order"),
        n_missing=_count_of(fields["n_missing"], "release, n_missing"),
        clusters=_read_clusters(fields["clusters"], noisy=_NOISE in fields),
        spent=_read_spent(fields["spent"]),
        software=name_of(fields["software"], "release, software"),
        small=_read_small(fields[_SMALL]) if _SMALL in fields else None,
        noise=read_noise(fields[_NOISE]) if _NOISE in fields else None,
    )
    check_noise(released)
    return released


def _read_clusters(value: object, *, noisy: bool) -> tuple[ClusterRelease, ...]:
    where = "release, clusters"
    clusters = tuple(
        _read_cluster(entry, f"release, cluster {number}", noisy=noisy)
        for number, entry in enumerate(list_of(value, where), start=1)
    )
    if not clusters:
        refuse(where, "an empty list", "at least one cluster is")
    if len({entry.cluster for entry in clusters}) < len(clusters):
        refuse(where, "one cluster twice", "one entry a cluster is")
    if len({len(entry.values) for entry in clusters}) > 1:
        refuse(
            where,
            "different numbers of values",
            "the same number in every cluster is",
        )
    return clusters


def _read_cluster(value: object, where: str, *, noisy: bool) -> ClusterRelease:
    count = ("noisy_rows",) if noisy else ()
    fields = fields_of(value, ("cluster", "n_rows", "values", *count), where)
    path = list_of(fields["cluster"], f"{where}, cluster")
    values = list_of(fields["values"], f"{where}, values")
    return ClusterRelease(
        cluster=tuple(name_of(part, f"{where}, cluster") for part in path),
        n_rows=_count_of(fields["n_rows"], f"{where}, n_rows"),
        values=tuple(finite_of(number, f"{where}, values") for number in values),
        noisy_rows=finite_of(fields["noisy_rows"], f"{where}, noisy_rows")
        if noisy
        else None,
    )


def _read_small(value: object) -> SmallClusters:
    where = "release, small_clusters"
    fields = fields_of(value, ("clusters", "n_rows", "treatment"), where)
    treatments: dict[object, Treatment] = {"pooled": "pooled", "left_out": "left_out"}
    told = fields["treatment"]
    if not isinstance(told, str) or told not in treatments:
        refuse(where, "another treatment", "'pooled' or 'left_out' is")
    return SmallClusters(
        treatment=treatments[told],
        clusters=whole_of(fields["clusters"], 1, MAX_WHOLE, f"{where}, clusters"),
        n_rows=_count_of(fields["n_rows"], f"{where}, n_rows"),
    )


def _read_spent(value: object) -> Spent:
    where = "release, spent"
    fields = fields_of(value, ("delta", "epsilon", "mechanism", "relation"), where)
    unbounded = fields["epsilon"] == "inf"
    spent = Spent(
        mechanism=name_of(fields["mechanism"], f"{where}, mechanism"),
        epsilon=math.inf
        if unbounded
        else finite_of(fields["epsilon"], f"{where}, epsilon"),
        delta=finite_of(fields["delta"], f"{where}, delta"),
        relation=name_of(fields["relation"], f"{where}, relation"),
    )
    if spent.relation not in RELATIONS:
        required = f"one of {', '.join(RELATIONS)} is"
        refuse(f"{where}, relation", "another relation", required)
    if not (spent.epsilon >= 0.0 and 0.0 <= spent.delta <= 1.0):
        refuse(
            where,
            "a negative epsilon or a delta outside 0 to 1",
            "a privacy loss is",
        )
    silent = {unbounded, spent.mechanism == "none", spent.relation == "none"}
    if len(silent) > 1:
        refuse(
            where,
            "a contradiction of mechanism, epsilon and relation",
            "epsilon 'inf' exactly for mechanism and relation 'none' is",
        )
    return spent


def _count_of(value: object, where: str) -> int | None:
    return None if value is None else whole_of(value, 0, MAX_WHOLE, where)
