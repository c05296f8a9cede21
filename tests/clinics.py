"""A table of clinics inside hospitals, for the tests of nested clusters."""

import numpy as np
import pandas as pd

HOSPITALS = ("h1", "h2", "h3", "h4", "h5")


def clinics(each: int = 60, count: int = 4, seed: int = 5) -> pd.DataFrame:
    """
    Rows of five hospitals with as many clinics each, of one size.

    ``clinic`` is ``a``, ``b``, ... at every hospital; ``ward`` names each clinic once.
    """
    rng = np.random.default_rng(seed)
    total = len(HOSPITALS) * count * each
    cell = np.repeat(np.arange(len(HOSPITALS) * count), each)
    hospital = np.array(HOSPITALS)[cell // count]
    clinic = np.array(list("abcdefghij"))[cell % count]
    x = rng.normal(size=total).round(3)
    b = rng.integers(0, 2, total)
    by_site = rng.normal(0, 0.6, len(HOSPITALS))[cell // count]
    by_clinic = rng.normal(0, 0.5, cell.max() + 1)[cell]
    slopes = rng.normal(0, 0.3, cell.max() + 1)[cell]
    eta = 0.2 + (0.5 + slopes) * x - 0.3 * b + by_site + by_clinic
    return pd.DataFrame(
        {
            "hospital": hospital,
            "clinic": clinic,
            "ward": np.char.add(np.char.add(hospital, " "), clinic),
            "x": x,
            "b": b,
            "y": (eta + rng.normal(size=total)).round(3),
            "e": rng.binomial(1, 1 / (1 + np.exp(-eta))),
            "c": rng.poisson(np.exp(0.5 * eta)),
        }
    )
