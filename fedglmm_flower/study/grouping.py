"""Groups of a formula: the site, and clusters inside it."""

from collections.abc import Iterable
from typing import Final

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.model import RandomEffect

# Means the site in every formula, whatever the tables call it.
SITE: Final = "site"


def is_site(name: str, site_column: str) -> bool:
    """Whether a grouping column of a formula is the site."""
    return name in (site_column, SITE)


def cluster_columns(
    groups: Iterable[tuple[str, ...]], site_column: str
) -> tuple[str, ...]:
    """
    Grouping columns besides the site, in the order in which they are written.

    Examples
    --------
    >>> cluster_columns([("site",), ("site", "clinic"), ("ward",)], "hospital")
    ('clinic', 'ward')
    """
    names = [name for group in groups for name in group]
    return tuple(dict.fromkeys(n for n in names if not is_site(n, site_column)))


def check_groups(
    random: Iterable[RandomEffect],
    site_column: str,
    clusters: tuple[str, ...],
    method: str,
) -> None:
    """
    Refuse clusters that are not declared, and effects that cannot be told apart.

    Parameters
    ----------
    random : iterable of RandomEffect
        Random effects of the formula.
    site_column : str
        Column that names the site.
    clusters : tuple of str
        Declared columns that name clusters inside a site.
    method : str
        Estimator.

    Raises
    ------
    StudyError
        If they do not agree.
    """
    effects = list(random)
    needed = cluster_columns((effect.group for effect in effects), site_column)
    if set(needed) != set(clusters) or len(set(clusters)) < len(clusters):
        wanted = ", ".join(f'"{name}"' for name in needed)
        raise StudyError(
            f"study: clusters {list(clusters)} are declared and the formula groups by "
            f"{list(needed)} inside sites; a site sends one summary for each cluster, "
            f"so that both must agree; write clusters = [{wanted}]"
        )
    seen: set[tuple[frozenset[str], str]] = set()
    for effect in effects:
        # A cluster lies in one site: naming the site beside it changes nothing.
        inside = frozenset(n for n in effect.group if not is_site(n, site_column))
        where = ":".join(effect.group) if inside else "site"
        for column in effect.columns:
            if (inside, column.name) in seen:
                raise StudyError(
                    f"study: {column.name!r} varies by {where} in two random parts; "
                    "once is required, whatever the group is called; remove one"
                )
            seen.add((inside, column.name))
    if method.startswith("aghq") and len({inside for inside, _ in seen}) > 1:
        raise StudyError(
            f"study: method {method!r} for clusters in clusters; quadrature takes one "
            "level of clusters; use laplace"
        )
