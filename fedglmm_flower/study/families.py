"""Names of families, links and methods that a study may ask for."""

import re
from typing import Final

from fedglmm_flower.errors import StudyError

LINKS: Final = {
    "gaussian": ("identity",),
    "binomial": ("logit", "probit", "cloglog"),
    "poisson": ("log",),
    "gamma": ("log",),
    "nbinom2": ("log",),
}
# Likelihoods that see the response through more than its sums with the columns.
TWO_MEASURES: Final = {
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("nbinom2", "log"),
}
# Families whose offset is one more column with coefficient one.
OFFSET_IS_COLUMN: Final = ("binomial", "nbinom2")


def resolve_link(family: str, link: str | None) -> str:
    """
    The link that is meant, the family's default when None.

    Raises
    ------
    StudyError
        If the family or the link is unknown.

    Examples
    --------
    >>> resolve_link("binomial", None)
    'logit'
    """
    if family not in LINKS:
        raise StudyError(
            f"family: {family!r} is not known; one of {', '.join(LINKS)} is required; "
            "correct it"
        )
    chosen = link or LINKS[family][0]
    if chosen not in LINKS[family]:
        raise StudyError(
            f"link: {chosen!r} is not available for {family}; "
            f"{' or '.join(LINKS[family])} is required; correct it"
        )
    return chosen


def resolve_method(family: str, method: str | None) -> str:
    """
    The method that is meant: reml for gaussian and laplace otherwise when None.

    Raises
    ------
    StudyError
        If the method is unknown or not of this family.

    Examples
    --------
    >>> resolve_method("poisson", "aghq:25")
    'aghq:25'
    """
    chosen = method or ("reml" if family == "gaussian" else "laplace")
    if family == "gaussian":
        if chosen in ("reml", "ml"):
            return chosen
        allowed = "reml or ml"
    else:
        name, _, nodes = chosen.partition(":")
        if chosen == "laplace" or (
            name == "aghq"
            and re.fullmatch("[1-9][0-9]{0,2}", nodes)
            and int(nodes) <= 101
        ):
            return chosen
        allowed = "laplace or aghq:K with K from 1 to 101"
    raise StudyError(
        f"method: {chosen!r} is not available for {family}; {allowed} is required; "
        "correct it"
    )
