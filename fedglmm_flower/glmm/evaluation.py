"""What is known about the marginal likelihood at one point."""

from dataclasses import dataclass

from fedglmm_flower.glmm.elimination import Elimination
from fedglmm_flower.glmm.rows import FloatArray


@dataclass(frozen=True)
class Mode:
    """The conditional mode of the random effects at given parameters."""

    u: tuple[FloatArray, ...]
    eta: FloatArray
    score: FloatArray
    curvature: FloatArray
    S: FloatArray  # Z' W Z of every innermost cluster
    factor: Elimination
    joint: FloatArray  # log-likelihood minus |u|^2 / 2, by outermost cluster


@dataclass(frozen=True)
class Nodes:
    """The integral, and its derivatives with the mode and H held apart."""

    value: float
    score: FloatArray  # averaged derivative in eta, per row
    outer: FloatArray  # averaged (Z' score) u', per innermost cluster
    by_u: FloatArray | None  # derivative in the mode; None where it vanishes
    by_curvature: FloatArray  # derivative in H, per innermost cluster
    by_psi: float


@dataclass(frozen=True)
class Pull:
    """How the determinant, or the spread of the nodes, draws on mode and rows."""

    by_curvature: FloatArray  # as in `Nodes`
    leverage: FloatArray  # derivative in the curvature of each row
    third: FloatArray  # derivative of the curvature in eta, per row
    v: FloatArray  # H v = derivative in the mode, per innermost cluster
    bent: FloatArray  # derivative in eta beyond the score, per row


@dataclass(frozen=True)
class Evaluation:
    """All that was found at one point."""

    phi: FloatArray
    value: float
    gradient: FloatArray
    mode: Mode
    pull: Pull
    information: FloatArray | None = None
