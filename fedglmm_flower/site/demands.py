"""What a study may demand of every site's policy, and whether a policy meets it."""

from collections.abc import Iterable
from typing import Final

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site.policy import Policy

# A stricter policy has more of the first, less of the second, and equals the third.
AT_LEAST: Final = (
    "min_cell",
    "min_effective_rows",
    "min_rows",
    "min_sites",
    "rows_per_statistic",
    "values_per_number",
)
AT_MOST: Final = ("dominance_one", "dominance_two", "max_leverage")
EXACTLY: Final = ("allow_expressions", "compare_answers", "enabled")
DEMANDS: Final = tuple(sorted((*AT_LEAST, *AT_MOST, *EXACTLY)))


def require_demands(
    policy: Policy, demands: Iterable[tuple[str, float | int | bool]], *, where: str
) -> None:
    """
    Refuse a policy that is weaker than a study demands of all its sites.

    Parameters
    ----------
    policy : Policy
        The site's own.
    demands : iterable of (str, number or bool)
        Values of ``[disclosure]`` that the policy must have, or be stricter than.
    where : str
        Whose policy, the first words of an error message.

    Raises
    ------
    PolicyError
        For the first demand that is not met, or not known.
    """
    for name, value in demands:
        if name not in DEMANDS:
            raise PolicyError(
                f"{where}, demand {name!r}: a demand that is not known here was found; "
                f"one of {', '.join(DEMANDS)} is required; use versions of "
                "fedglmm-flower that agree"
            )
        own = getattr(policy, name)
        if name in AT_LEAST:
            met, words = own >= value, "at least "
        elif name in AT_MOST:
            met, words = own <= value, "at most "
        else:
            met, words = own is value, ""
        if not met:
            raise PolicyError(
                f"{where}, {name}: {own} was found in the site's policy; "
                f"{words}{value} is demanded by the study of every site; "
                "change [disclosure] in site.toml, or do not take part"
            )
