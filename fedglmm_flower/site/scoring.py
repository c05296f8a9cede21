"""A site's answer in a further round: its rows to a score, gate by gate."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, inf

import numpy as np

from fedglmm_flower.errors import (
    BudgetError,
    DataError,
    DisclosureError,
    StudyMismatchError,
    UsageError,
)
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.score import Score, score_at
from fedglmm_flower.site.answer import check_expected
from fedglmm_flower.site.clearing import own_apart, require_apart
from fedglmm_flower.site.differencing import differencing
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.further import numbers_allowed
from fedglmm_flower.site.gate import inspect
from fedglmm_flower.site.held_out import RowsOf
from fedglmm_flower.site.mechanism import software_name
from fedglmm_flower.site.memory import Answered, SiteMemory
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.point_rules import point_findings
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.privacy import Privacy
from fedglmm_flower.site.released import Spent
from fedglmm_flower.site.row_places import RowPlaces
from fedglmm_flower.site.row_sets import RowSets, row_sets
from fedglmm_flower.site.scored import (
    PARTS,
    Part,
    Point,
    ReleasedScore,
    numbers_of,
)
from fedglmm_flower.site.site_rows import site_rows
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.site.summarise import summarise_clusters
from fedglmm_flower.site.summed_cells import summed_cells
from fedglmm_flower.site.told_digits import in_told_digits
from fedglmm_flower.study.study import Study

_MOST_NODES = 10_000
_BATCH = 65_536


def score(
    study: Study,
    source: TableSource,
    policy: Policy,
    point: Point,
    *,
    site: str,
    asked: SiteMemory,
    privacy: Privacy | None = None,
    memory: SiteMemory | None = None,
) -> ReleasedScore:
    """
    Log-likelihood of a site's own rows at a point, with gradient and information.

    The random effects of all its clusters, also of those that are too small to be
    summed on their own, are integrated out: one sum over the whole site leaves.  Its
    complete rows are held in memory.

    Parameters
    ----------
    study : Study
        The question; its ``rounds`` say at how many points it may be asked.
    source : TableSource
        The site's rows.
    policy : Policy
        The officer's thresholds.
    point : Point
        Where.
    site : str
        Name of this site.
    asked : SiteMemory
        Where points are counted.
    privacy : Privacy or None
        The noise that the site adds, which has no budget for this; None for none.
    memory : SiteMemory or None
        Which rows the site answered from before; None to keep no record.

    Raises
    ------
    StudyMismatchError
        If the study does not expect this site, or allows no further round.
    UsageError
        If the point is none of this study.
    SnapshotError
        If the site has answered the study from other rows.
    BudgetError
        If the site adds noise.
    DataError, DisclosureError, FitError
        If the table, a rule of the gate, or the point itself stands in the way.
    """
    check_expected(study, site, policy.min_sites)
    if privacy is not None:
        raise BudgetError(
            f"site {site!r}: a likelihood without noise was asked; the site's policy "
            "adds noise and has no budget for it; end with the one round"
        )
    frame = _checked_frame(study, point)
    narrow = narrowed(study)
    key = b"" if memory is None else memory.key()
    unit = policy.unit
    found = summarise_clusters(
        narrow, source, site=site, name=lambda _: (), key=key, unit=unit
    )
    snapshot = found.snapshot
    if memory is not None:
        memory.require_same(study.digest, snapshot)
    # What is told of all rows and of those that are kept tells of the rows that are
    # held out as well: each part has to pass, whichever is asked.
    parts: dict[Part, tuple[RowsOf, Moments]] = {}
    summed: list[RowSets] = []
    cells = summed_cells(narrow.moment_model, narrow.statistics(narrow.order))
    before = () if memory is None else memory.answers()
    for part in PARTS if study.held_out else PARTS[:1]:
        rows = RowsOf(source, study, part)
        if part == "all":
            told = found
        else:
            told = summarise_clusters(
                narrow, rows, site=site, name=lambda _: (), key=key, unit=unit
            )
        parts[part] = rows, told.clusters[()]
        at = told.places[()]
        summed.append(row_sets([[_placed(at, rows)]], cells, found.units))
        require_apart(own_apart(summed[-1], policy))
        if memory is not None:
            require_score_apart(study, summed[-1], frame, policy, before)
    # Refusals tell too, of rows that the point has found: they count as answers do.
    asked.admit(
        study.digest,
        digest_of(point),
        study.rounds,
        numbers=numbers_of(frame.size) if point.part != "held-out" else 1,
        allowed=numbers_allowed(study, found.counted(found.clusters), policy),
    )
    answers = {
        part: _cleared(narrow, rows, moments, policy, frame, point, site)
        for part, (rows, moments) in parts.items()
    }
    made, n_rows = answers[point.part]
    if memory is not None:
        memory.enter(
            study.digest,
            snapshot,
            summed,
            lambda known, sets: require_score_apart(study, sets, frame, policy, known),
            further=True,
        )
    whole = point.part != "held-out"
    lower = np.tril_indices(frame.size)
    return ReleasedScore(
        site=site,
        study_digest=study.digest,
        point=point,
        n_rows=n_rows,
        value=float(made.value),
        gradient=tuple(map(float, made.gradient)) if whole else (),
        information=tuple(map(float, made.information[lower])) if whole else (),
        spent=Spent("none", inf, 0.0, "none"),
        software=software_name(),
    )


def require_score_apart(
    study: Study,
    rows: RowSets,
    frame: Frame,
    policy: Policy,
    before: Sequence[Answered],
) -> None:
    """
    Refuse a likelihood that tells of few rows by subtraction from an earlier answer.

    Where all linear predictors are equal it holds the sums of a release, of this study
    or of another.  The difference is a likelihood of the rows that only one has: it
    needs as many as any.

    Raises
    ------
    DisclosureError
        If they are fewer.
    """
    if policy.enabled and policy.compare_answers:
        numbers = policy.rows_per_statistic * numbers_of(frame.size)
        whole = max(policy.min_rows, ceil(numbers))
        least = policy.min_cell
        require_apart(
            differencing(before, study.digest, rows, least, whole, further=True)
        )


def _placed(found: RowPlaces, rows: RowsOf) -> RowPlaces:
    """The same rows by their places in the whole table."""
    if rows.part == "all":
        return found
    at = rows.places(_BATCH)
    return replace(found, places=[at[places] for places in found.places])


def _cleared(
    narrow: Study,
    source: TableSource,
    moments: Moments,
    policy: Policy,
    frame: Frame,
    point: Point,
    site: str,
) -> tuple[Score, int]:
    """Score of some rows and their count, if every rule is kept."""
    rows, units = site_rows(narrow, source, site, policy.unit)
    if rows.n_rows > moments.n_rows:
        raise DataError(
            f"{source.name}: rows were added while it was read; a table at rest is "
            "required; ask again"
        )
    statistics = narrow.statistics(narrow.order)
    refuse(inspect(narrow.moment_model, moments, statistics, policy))
    made, shares = score_at(frame, rows, np.array(point.values), point.nodes)
    numbers = numbers_of(frame.size)
    refuse(point_findings(shares, moments, units, numbers, policy))
    return in_told_digits(made) if policy.enabled else made, rows.n_rows


def digest_of(point: Point) -> str:
    """Identity of a point, whatever its number in a run."""
    part = [] if point.part == "all" else [point.part]
    plain = json.dumps([point.nodes, list(point.values), *part])
    return hashlib.sha256(plain.encode()).hexdigest()


def score_size(study: Study) -> int:
    """Numbers of one likelihood of a study."""
    return numbers_of(Frame.of(study.model).size)


def narrowed(study: Study) -> Study:
    """
    A study that releases what a score determines of counts: products of two columns.

    At a point where all linear predictors are equal, the information holds the sums of
    all products of two columns, and the gradient those with the response.
    """
    name = "joint" if study.is_joint else "canonical"
    return replace(study, release_set=name, order=2, accept=((name, 2),), anchor=())


def refuse(findings: tuple[Finding, ...]) -> None:
    """Raise a DisclosureError that names the rules that are not kept, if any."""
    failed = "; ".join(f.detail for f in findings if not f.passed)
    if failed:
        raise DisclosureError(
            f"disclosure of a likelihood: {failed}; every rule of the policy is "
            "required; end with the one round, or leave out a column"
        )


def _checked_frame(study: Study, point: Point) -> Frame:
    if study.rounds < 1:
        raise StudyMismatchError(
            f"study {study.name!r}: a likelihood was asked; the approved study has one "
            "round alone; approve a study with 'rounds'"
        )
    if study.family == "gaussian":
        raise UsageError(
            f"study {study.name!r}: a likelihood of a gaussian model was asked; its "
            "one round is exact already; ask for one round"
        )
    frame = Frame.of(study.model)
    width = sum(len(root) for root in frame.roots)
    nested = len({effect.name for effect in study.model.random}) > 1
    if point.part != "all" and not study.held_out:
        raise StudyMismatchError(
            f"study {study.name!r}: a part of the rows was asked; the approved study "
            "holds none out; approve a study with 'held_out'"
        )
    fits = len(point.values) == frame.size and point.nodes**width <= _MOST_NODES
    if not fits or (nested and point.nodes > 1):
        raise UsageError(
            f"study {study.name!r}: a point of {len(point.values)} parameters and "
            f"{point.nodes} nodes; {frame.size} parameters and a quadrature that the "
            "engine has are required; both sides must run the same version"
        )
    return frame
