"""Numbers as they are printed, the same in every form of a report."""

import math
from collections.abc import Sequence

# Beyond this an exponential is told by its side alone.
_MOST = 1e6


def number(value: float | None) -> str:
    """Six digits; a dash where there is none."""
    return "-" if value is None else f"{value:.6g}"


def short(value: float | None) -> str:
    """
    Four digits, for text beside a figure.

    Examples
    --------
    >>> short(0.123456), short(None)
    ('0.1235', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def p_value(value: float | None) -> str:
    """
    Three digits, and the bound that doubles have.

    Examples
    --------
    >>> p_value(0.0), p_value(0.01234)
    ('<2e-16', '0.0123')
    """
    if value is None:
        return "-"
    return "<2e-16" if value < 2e-16 else f"{value:.3g}"


def error(value: float | None) -> str:
    """An approximation error; unknown where it cannot be judged."""
    return "unknown" if value is None else f"{value:.2g}"


def ratio(log_value: float | None) -> str:
    """
    Exponential of a coefficient.

    Examples
    --------
    >>> ratio(0.0), ratio(800.0)
    ('1', '>1e+06')
    """
    if log_value is None:
        return "-"
    if log_value > math.log(_MOST):
        return f">{_MOST:.0e}"
    if log_value < -math.log(_MOST):
        return f"<{1 / _MOST:.0e}"
    return f"{math.exp(log_value):.4g}"


def span(values: Sequence[int]) -> str:
    """
    One number, or from which to which.

    Examples
    --------
    >>> span([5, 3]), span([1200])
    ('3 to 5', '1,200')
    """
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
