"""Atoms: the expressions and factors of which all model columns are products."""

from dataclasses import dataclass

from fedglmm_flower.study.expression import Expression


@dataclass(frozen=True)
class Atom:
    """
    A continuous expression, or a factor with its declared levels.

    Parameters
    ----------
    name : str
        Text of the expression, or name of the column.
    expression : Expression or None
        What to compute; None for a factor.
    levels : tuple of str
        Levels of a factor, reference first; ``("0", "1")`` for a binary column.
    center, scale : float
        Constants of a continuous atom: moments are of ``(value - center) / scale``.
    """

    name: str
    expression: Expression | None
    levels: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    @property
    def is_factor(self) -> bool:
        """Whether the atom is a factor."""
        return bool(self.levels)
