"""A site's answer under differential privacy: public checks, sums, ledger, noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fedglmm_flower.errors import PolicyError, StudyMismatchError
from fedglmm_flower.site.answer import check_expected
from fedglmm_flower.site.discrete_gaussian import NAME, DiscreteGaussian, zcdp_of
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import BITS, STEP, FloatArray, radius
from fedglmm_flower.site.ledger import Ledger
from fedglmm_flower.site.ledger_price import nano, request_hash
from fedglmm_flower.site.mechanism import software_name
from fedglmm_flower.site.privacy import MAX_COORDINATES, Privacy, Relation
from fedglmm_flower.site.private_sums import PrivateSums, private_sums
from fedglmm_flower.site.public_scales import public_weights
from fedglmm_flower.site.released import ClusterRelease, Noise, Released, Spent
from fedglmm_flower.site.residual_basis import mixing_of
from fedglmm_flower.site.source import RecordSource
from fedglmm_flower.site.units import require_unit_unused
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.offers import Offer, write_offer
from fedglmm_flower.study.products import split_set
from fedglmm_flower.study.study import Study

# How far apart two neighbouring tables can be, in clipping norms.
DISTANCE: Final[dict[Relation, int]] = {
    "zero_out": 1,
    "add_remove": 1,
    "replace_one": 2,
}


@dataclass(frozen=True)
class Wire:
    """
    How a release is stored and sent; given by a room that knows.

    Parameters
    ----------
    encode, decode : callable
        A release to canonical bytes and back.
    """

    encode: Callable[[Released], bytes]
    decode: Callable[[bytes], Released]


def release_privately(
    study: Study,
    source: RecordSource,
    privacy: Privacy,
    ledger: Ledger,
    wire: Wire,
    *,
    site: str,
    key: bytes = b"",
    least: int = 1,
    signed: tuple[int, str] | None = None,
) -> Released:
    """
    Answer a study with noise, paid from the dataset's budget.

    Nothing here decides by the data: whether, in which set and at which price the
    site answers follows from the study, the policy and the ledger.

    Leaves the site: for each declared cluster the noisy sums and the noisy count, the
    number of records under relations that hold it public, and the mechanism.

    Parameters
    ----------
    study : Study
        The question.
    source : RecordSource
        The site's rows.
    privacy : Privacy
        What the officer allows.
    ledger : Ledger
        Where it is paid; the same request is answered again from it, with the same
        noise and at no cost.
    wire : Wire
        How an answer is stored.
    site : str
        Name of this site.
    key : bytes
        The site's secret, for the digest of its rows.
    least : int
        Fewest sites of a study that the site takes part in.
    signed : (int, str) or None
        Number and digest of the signed version of the policy, for the ledger.

    Returns
    -------
    Released

    Raises
    ------
    StudyMismatchError, PolicyError
        If the study cannot be answered under the policy, whatever the data.
    BudgetError
        If too little is left: nothing was drawn.
    DataError
        If the table as a whole cannot be read: never because of a row.
    LedgerError
        If the ledger is damaged.
    """
    check_expected(study, site, least)
    offer = require_private(study, privacy)
    features = _features(study, offer)
    weights = public_weights(features)
    paths = privacy.clusters if study.clusters else ((),)
    gaussian = DiscreteGaussian(
        size=features.size * len(paths),
        sensitivity=DISTANCE[privacy.relation] * radius(privacy.clipping_norm),
        epsilon=privacy.epsilon,
        delta=privacy.delta,
    )
    # A debit is never undone: what can fail for want of a table fails before it.
    exact = private_sums(study, source, features, weights, privacy, key=key)
    request = request_hash(study, privacy, offer, site=site, snapshot=exact.snapshot)
    ledger.allow(
        privacy.dataset,
        cap_nano=nano(zcdp_of(privacy.budget_epsilon, privacy.delta), up=False),
        delta=privacy.delta,
        signed=signed,
    )

    def draw() -> bytes:
        noisy = gaussian.draw([int(v) for v in exact.sums.ravel()])
        noise = Noise(
            rho=gaussian.rho,
            scale=gaussian.scale,
            bits=BITS,
            norm=privacy.clipping_norm,
            weights=tuple(map(float, weights)),
            unit="row" if privacy.unit_column is None else "unit",
        )
        return wire.encode(
            Released(
                site=site,
                study_digest=study.digest,
                release_set=offer[0],
                order=offer[1],
                n_missing=None,
                clusters=_clusters(
                    mixing_of(study.model, features.statistics),
                    paths,
                    noisy,
                    weights,
                    _public_counts(exact, study, privacy),
                ),
                spent=Spent(NAME, privacy.epsilon, privacy.delta, privacy.relation),
                software=software_name(),
                noise=noise,
            )
        )

    return wire.decode(
        ledger.serve(privacy.dataset, request, nano(gaussian.rho, up=True), draw)
    )


def require_private(study: Study, privacy: Privacy) -> Offer:
    """
    The release that a study gets under noise: the best acceptable one of plain sums.

    Decided by public quantities alone.

    Raises
    ------
    StudyMismatchError
        If no acceptable set is one of bounded sums, a column lacks a bound, or the
        study reads the column of units.
    PolicyError
        If the study asks for clusters that the policy does not list.
    """
    model = study.model
    two = (model.family, model.link) in TWO_MEASURES
    offers = [
        (name, order)
        for name, order in study.offers
        if split_set(name)[0] in ("canonical",) + ("public",) * (not two)
    ]
    if not offers:
        asked = ", ".join(write_offer(offer) for offer in study.offers)
        raise StudyMismatchError(
            f"privacy: the study {study.name!r} accepts {asked}; with noise a "
            "canonical release or one with a public anchor is required, for an anchor "
            "of the site's own is fitted to its rows; add one to the study's list"
        )
    for name in model.used_columns:
        column = model.columns[name]
        if column.kind == "continuous" and None in (column.low, column.high):
            raise StudyMismatchError(
                f"privacy: column {name!r} of the study {study.name!r} has no lower or "
                "no upper bound; both are required of every number, because the noise "
                "is scaled by what is declared and never by the data; declare bounds "
                "in the study"
            )
    for name, *settled in privacy.bounds:
        declared = model.columns.get(name)
        found = [] if declared is None else [declared.low, declared.high]
        if name in model.used_columns and found != settled:
            raise StudyMismatchError(
                f"privacy: the study {study.name!r} declares bounds {found} of column "
                f"{name!r}; {settled} are required by 'bounds' of this site's policy, "
                "for noise and clipping follow from them; have the study corrected, or "
                "settle other bounds"
            )
    depth = len(study.clusters)
    if depth and not privacy.clusters:
        raise PolicyError(
            f"privacy: the study {study.name!r} asks for the clusters of "
            f"{', '.join(map(repr, study.clusters))}; a public list of them is "
            "required, because the labels in a table are data; set 'clusters' in "
            "[privacy]"
        )
    if depth and any(len(path) != depth for path in privacy.clusters):
        raise PolicyError(
            f"privacy: 'clusters' names clusters of another depth than the "
            f"{depth} columns of the study {study.name!r}; one label for each column "
            "is required; correct the list"
        )
    require_unit_unused(study, privacy.unit_column)
    coordinates = (len(study.statistics(offers[0][1], offers[0][0])) + 1) * max(
        1, len(privacy.clusters) if depth else 1
    )
    if coordinates > MAX_COORDINATES:
        raise StudyMismatchError(
            f"privacy: the study {study.name!r} asks for {coordinates} numbers; at "
            f"most {MAX_COORDINATES} are released with noise; lower the order"
        )
    return offers[0]


def _features(study: Study, offer: Offer) -> Features:
    public = split_set(offer[0])[0] == "public"
    anchor = study.anchor_values if public else None
    return Features(study.model, study.statistics(offer[1], offer[0]), anchor)


def _public_counts(
    exact: PrivateSums, study: Study, privacy: Privacy
) -> tuple[int | None, ...]:
    """Records of each cluster, where neighbouring tables have equally many."""
    moving = privacy.relation == "replace_one" and bool(study.clusters)
    if privacy.relation == "add_remove" or moving:
        return (None,) * len(exact.records)
    return exact.records


def _clusters(
    mixing: FloatArray,
    paths: tuple[tuple[str, ...], ...],
    noisy: list[int],
    weights: FloatArray,
    records: tuple[int | None, ...],
) -> tuple[ClusterRelease, ...]:
    size = len(weights)
    found = []
    for k, path in enumerate(paths):
        part = noisy[k * size : (k + 1) * size]
        coordinates = np.array([float(v) for v in part]) * STEP / weights
        *values, rows = (float(value) for value in mixing @ coordinates)
        found.append(ClusterRelease(path, records[k], tuple(values), rows))
    return tuple(sorted(found, key=lambda one: one.cluster))
