"""Clusters of all sites side by side, and the label of each in every group."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.errors import FitError
from fedglmm_flower.site.released import NUMBERED, REMAINDER
from fedglmm_flower.study.grouping import is_site
from fedglmm_flower.study.study import Study

# The site, and the label of the cluster in each cluster column of the study.
Block: TypeAlias = tuple[str, ...]


def blocks_of(opened: Mapping[str, Opened]) -> dict[Block, Targets]:
    """Sums of every cluster of every site, in the order of the releases."""
    return {
        (site, *entry.cluster): targets
        for site, one in opened.items()
        for entry, targets in zip(one.released.clusters, one.targets, strict=True)
    }


def require_clusters(study: Study, blocks: Iterable[Block]) -> None:
    """
    Refuse a question about clusters where every site pooled all of its own.

    Raises
    ------
    FitError
        If no cluster was sent on its own.
    """
    remainder = (REMAINDER,) * len(study.clusters)
    if study.clusters and all(block[1:] == remainder for block in blocks):
        raise FitError(
            f"study {study.name!r}: every site pooled all its clusters, since none "
            "passes its disclosure policy alone; clusters of their own are required "
            f"to tell how they differ; ask for (1 | {study.site_column}), or for fewer "
            "columns"
        )


def columns_of(study: Study) -> dict[str, str]:
    """Grouping columns of the formula, and the column of a table that each means."""
    names = [name for part in study.model.formula.random for name in part.group]
    site = study.site_column
    return {name: site if is_site(name, site) else name for name in names}


def labels_of(study: Study, blocks: Iterable[Block]) -> dict[str, list[str]]:
    """
    Label of each block in every grouping column of the formula.

    Parameters
    ----------
    study : Study
        The question.
    blocks : iterable of tuple of str
        Clusters.

    Raises
    ------
    FitError
        If a cluster that is named without its site occurs at two of them.
    """
    known = list(blocks)
    at = {name: 1 + k for k, name in enumerate(study.clusters)}
    labels = {
        name: [block[at[name]] if name in at else block[0] for block in known]
        for name in columns_of(study)
    }
    for part in study.model.formula.random:
        if any(is_site(name, study.site_column) for name in part.group):
            continue
        sites: dict[Block, str] = {}
        for block in known:
            path = tuple(block[at[name]] for name in part.group)
            site = sites.setdefault(path, block[0])
            if site != block[0] and not all(map(_stands_in, path)):
                inside = f"{study.site_column}:{part.name}"
                raise FitError(
                    f"random effects by {part.name!r}: a cluster of one name is at "
                    f"{site!r} and at {block[0]!r}; clusters must lie in one site "
                    f"each; if these are two, write (... | {inside}), or rename one; "
                    "effects across sites need pooled data and lme4"
                )
        # What has no name of its own is told apart by its site.
        for name in part.group:
            labels[name] = [
                f"{block[0]}:{label}" if _stands_in(label) else label
                for block, label in zip(known, labels[name], strict=True)
            ]
    return labels


def _stands_in(label: str) -> bool:
    """Whether a label is no cluster's own name: a number, or the remainder."""
    return label == REMAINDER or label.startswith(NUMBERED)


def site_of_levels(
    study: Study, blocks: Iterable[Block]
) -> dict[tuple[str, str], str | None]:
    """
    Site that each level of a cluster belongs to, None where names leave it open.

    Parameters
    ----------
    study : Study
        The question.
    blocks : iterable of tuple of str
        Clusters.

    Returns
    -------
    dict
        Group and level, as in ``ranef``, to the site; levels of the site itself are
        left out.
    """
    known = list(blocks)
    labels = labels_of(study, known)
    found: dict[tuple[str, str], str | None] = {}
    for effect in study.model.random:
        if all(is_site(name, study.site_column) for name in effect.group):
            continue
        for k, block in enumerate(known):
            level = ":".join(labels[name][k] for name in effect.group)
            # "a:b" in "c" and "b:c" in "a" would be spelled alike.
            same = found.setdefault((effect.name, level), block[0]) == block[0]
            if not same:
                found[effect.name, level] = None
    return found


def block_numbers(study: Study, blocks: Iterable[Block]) -> dict[Block, int]:
    """
    Number of each cluster, from which its quasi-random start follows.

    Depends on its own site alone: who else takes part changes nothing.
    """
    numbers: dict[Block, int] = {}
    rank: dict[str, int] = {}
    for block in sorted(blocks):
        site = block[0]
        rank[site] = rank.get(site, -1) + 1
        numbers[block] = study.sites.index(site) + rank[site] * len(study.sites)
    return numbers
