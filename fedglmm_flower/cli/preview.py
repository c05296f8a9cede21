"""What would leave a site and what stays, cluster by cluster, for its officer."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import Policy
from fedglmm_flower.site.clusters import ClearedSite
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.further import Further, further
from fedglmm_flower.site.gate import inspect
from fedglmm_flower.site.moments import SiteMoments
from fedglmm_flower.site.rule_table import rule_table
from fedglmm_flower.site.words import describe
from fedglmm_flower.study import Study


@dataclass(frozen=True)
class Part:
    """
    One cluster, or the site as a whole.

    Parameters
    ----------
    path : tuple of str
        Its name: the one that leaves, or its own if it does not leave.
    n_rows : int
        Its rows.
    units : int or None
        Its units, where rows have them.
    findings : tuple of Finding
        What every rule says.
    lines : list of (str, float)
        The numbers that would leave, in words; empty if none do.
    """

    path: tuple[str, ...]
    n_rows: int
    findings: tuple[Finding, ...]
    lines: list[tuple[str, float]]
    units: int | None = None

    def plain(self, policy: Policy) -> dict[str, Any]:
        """Rules and numbers as plain JSON values."""
        return {
            "rule_table": [line.plain for line in rule_table(self.findings, policy)],
            "rules": [vars(finding) for finding in self.findings],
            "statistics": [{"what": what, "value": v} for what, v in self.lines],
        }


@dataclass(frozen=True)
class Preview:
    """
    All that an officer is shown; does not leave the site.

    Parameters
    ----------
    offer : (str, int)
        Set and order that would leave; the last one that was tried if none would.
    n_rows, n_missing : int
        Complete and dropped rows of the site.
    parts : list of Part
        What leaves first, then what does not.
    small : dict or None
        What becomes of clusters that do not pass.
    refused : DisclosureError or None
        Why nothing leaves.
    further : Further or None
        What may be asked after the one round.
    """

    offer: tuple[str, int]
    n_rows: int
    n_missing: int
    parts: list[Part]
    small: dict[str, Any] | None
    refused: DisclosureError | None
    further: Further | None = None


def preview_of(
    study: Study,
    found: SiteMoments,
    policy: Policy,
    clear: Callable[[], ClearedSite],
    between: Sequence[Finding] = (),
    answered: int = 0,
    elsewhere: int = 0,
) -> Preview:
    """
    Ask the gate, and keep what it says.

    Parameters
    ----------
    study : Study
        The question.
    found : SiteMoments
        Sums of each cluster.
    policy : Policy
        The officer's thresholds.
    clear : callable
        The gate.
    between : sequence of Finding
        What it finds between this study and earlier ones, once it was asked.
    answered : int
        Points of the study that were asked already.
    elsewhere : int
        Numbers that were told in answers to other studies.
    """
    model = study.moment_model
    refused: DisclosureError | None = None
    small: dict[str, Any] | None = None
    offer = study.offers[-1]
    parts: list[Part] = []
    try:
        cleared = clear()
    except DisclosureError as error:
        refused = error
    else:
        for path, one in sorted(cleared.clusters.items()):
            offer = (one.release_set, one.order)
            pairs = zip(one.statistics, one.values, strict=True)
            lines = [(describe(model, s), float(v)) for s, v in pairs]
            rows, units = one.moments.n_rows, one.moments.units
            parts.append(Part(path, rows, (*one.findings, *between), lines, units))
        small = None if cleared.small is None else asdict(cleared.small)
    statistics = study.statistics(offer[1], offer[0])
    for path, moments in found.clusters.items():
        findings = inspect(model, moments, statistics, policy)
        # Where an estimate does not exist, no sums at it do.
        exists = set(statistics) <= set(moments.statistics)
        passed = exists and all(finding.passed for finding in findings)
        if refused or not passed:
            rows, units = moments.n_rows, moments.units
            parts.append(Part(path, rows, (*findings, *between), [], units))
    n_rows = sum(moments.n_rows for moments in found.clusters.values())
    told = elsewhere + sum(len(part.lines) for part in parts)
    units = found.counted(found.clusters)
    later = further(study, units, policy, told, answered)
    return Preview(offer, n_rows, found.n_missing, parts, small, refused, later)
