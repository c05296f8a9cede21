"""The settings: the authors' designs and those of Li et al. 2022, with their truth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

# Li et al. give neither: theirs are called small and large.
SMALL, LARGE = 0.1, 1.0
_LI = (-1.5, 0.1, -0.5, -0.3, 0.4, -0.2, -0.25, 0.35, -0.1, 0.5)
_LI_BINARY, _LI_CONTINUOUS = 4, 5
_SIZES = ((30, 100), (50, 60), (100, 30))


@dataclass(frozen=True)
class Setting:
    """
    One design.

    Parameters
    ----------
    name : str
    family : {"binomial", "poisson"}
    formula : str
    sites, each : int
        Sites, and rows of each.
    truth : tuple of float
        Coefficients in the order of the formula.
    sd : float
        Standard deviation of the random intercept.
    draw : callable
        Columns of a number of rows; see :func:`rows_of`.
    """

    name: str
    family: str
    formula: str
    sites: int
    each: int
    truth: tuple[float, ...]
    sd: float
    draw: Callable[[np.random.Generator, int], pd.DataFrame]


def rows_of(setting: Setting, replicate: int) -> pd.DataFrame:
    """
    A replicate's table, with the column ``g`` that names the site.

    Depends on nothing but the name of the setting and the number of the replicate.
    """
    rng = np.random.default_rng([*setting.name.encode(), replicate])
    n = setting.sites * setting.each
    frame = setting.draw(rng, n)
    g = np.repeat(np.arange(setting.sites), setting.each)
    effects = rng.normal(0.0, setting.sd, setting.sites)
    X = np.column_stack([np.ones(n), *_columns(frame)])
    eta = X @ np.array(setting.truth) + effects[g]
    if setting.family == "poisson":
        y = rng.poisson(np.exp(eta))
    else:
        y = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)
    return frame.assign(y=y, g=[f"s{i:03d}" for i in g])


def _columns(frame: pd.DataFrame) -> list[FloatArray]:
    """Model columns: numbers as they are, indicators of all levels but the first."""
    out: list[FloatArray] = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype == object:
            levels = sorted(column.unique())[1:]
            out.extend((column == level).to_numpy(np.float64) for level in levels)
        else:
            out.append(column.to_numpy(np.float64))
    return out


def _levels(rng: np.random.Generator, n: int, shares: tuple[float, ...]) -> list[str]:
    p = np.array(shares) / sum(shares)
    return [f"l{k + 1}" for k in rng.choice(len(p), n, p=p)]


def _standard(x: FloatArray) -> FloatArray:
    return np.asarray((x - x.mean()) / x.std(ddof=1))


def _poisson(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Limpoco, Faes & Hens 2026, columns after a hospital survey."""
    shares = (0.09535973, 0.1272882, 0.1111111, 0.3865475, 0.2796935)
    return pd.DataFrame(
        {
            "x1": _standard(rng.normal(3150.149, 843.0881, n)),
            "x2": (rng.random(n) < 0.5602384).astype(np.int64),
            "x3": pd.Series(_levels(rng, n, shares), dtype=object),
        }
    )


def _logistic(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Limpoco et al. 2025, columns after the CHOP data; rare events."""
    return pd.DataFrame(
        {
            "x1": _standard(rng.normal(7.290774, 9.341565, n)),
            "x2": _standard(rng.poisson(63.51643, n).astype(np.float64)),
            "x3": pd.Series(
                _levels(rng, n, (0.5205371, 0.2139021, 0.2655608)), dtype=object
            ),
        }
    )


def _li(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Four binary columns, and five uniform on [-1, 1.5]."""
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for k in range(_LI_BINARY):
        columns[f"b{k + 1}"] = (rng.random(n) < 0.5).astype(np.int64)
    for k in range(_LI_CONTINUOUS):
        columns[f"c{k + 1}"] = rng.uniform(-1.0, 1.5, n)
    return pd.DataFrame(columns)


def _settings() -> dict[str, Setting]:
    found = []
    beta = (2.285513, -0.302612, 0.087566, -0.959036, -0.812642, -0.809044, -0.794925)
    for m, n in _SIZES:
        found.append(
            Setting(
                f"poisson-{m}x{n}",
                "poisson",
                "y ~ x1 + x2 + x3 + (1 | g)",
                m,
                n,
                beta,
                0.4811,
                _poisson,
            )
        )
    rare = (-4.20753, 0.33348, -0.25252, 1.20088, 0.53604)
    for m, n in _SIZES:
        found.append(
            Setting(
                f"logistic-{m}x{n}",
                "binomial",
                "y ~ x1 + x2 + x3 + (1 | g)",
                m,
                n,
                rare,
                1.078,
                _logistic,
            )
        )
    names = [f"b{k + 1}" for k in range(_LI_BINARY)]
    names += [f"c{k + 1}" for k in range(_LI_CONTINUOUS)]
    formula = f"y ~ {' + '.join(names)} + (1 | g)"
    # In the order of the paper: settings 1 to 8.
    for m, n in ((2, 500), (10, 500), (2, 30), (10, 30)):
        for size, variance in (("small", SMALL), ("large", LARGE)):
            found.append(
                Setting(
                    f"li-{m}x{n}-{size}",
                    "binomial",
                    formula,
                    m,
                    n,
                    _LI,
                    float(np.sqrt(variance)),
                    _li,
                )
            )
    return {setting.name: setting for setting in found}


SETTINGS = _settings()
