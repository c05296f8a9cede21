"""One population for all sites: what a record adds, and how probable records are.

Noisy sums need not be those of any rows.  They are projected onto valid ones: the
measure on records of the reference law that is nearest to the pooled sums in the metric
of their noise, with a little relative entropy to choose among equals.  Clipping is
part of what a record adds, so that what clipping does to sums is expected of them.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaln, ndtr

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import STEP, guarded
from fedglmm_flower.site.public_scales import (
    bounds_of,
    clipping_of,
    reference_rows,
)
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
# As many rows as the reference law counts for; it decides where the sums do not.
_PRIOR_ROWS: Final = 10.0
_MOST_COUNT: Final = 60
_NEWTON: Final = 60
_UNUSED: Final = ("constant", "shape", "y_offset", "yy", "offset")


@dataclass(frozen=True)
class Records:
    """
    Records of the reference law with every response that they may have.

    Parameters
    ----------
    added : array of shape (responses, coordinates, records)
        What a record adds to each coordinate, clipped as at a site.
    columns : array of shape (records, p)
        Standardised columns ``z``; the linear predictor is ``shift + z't``.
    shift : array of shape (records,)
        The part of the linear predictor without a coefficient.
    responses : array of shape (responses,)
        The values of the response; the last stands for itself and all above.
    family, link : str
    of_columns : array of bool, shape (coordinates,)
        Which coordinates hold no response.
    used : integer array of shape (coordinates,)
        Positions among the coordinates of a release.
    """

    added: FloatArray
    columns: FloatArray
    shift: FloatArray
    responses: FloatArray
    family: str
    link: str
    of_columns: npt.NDArray[np.bool_]
    used: npt.NDArray[np.intp]

    def chances(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Probabilities of the responses and their slopes in the predictor."""
        eta = self.shift + self.columns @ t
        if self.family == "poisson":
            return _counts(eta, self.responses)
        if self.link == "probit":
            p, slope = ndtr(eta), np.exp(-0.5 * eta**2) / np.sqrt(2 * np.pi)
        elif self.link == "cloglog":
            grown = np.exp(np.clip(eta, -30.0, 5.0))
            p, slope = -np.expm1(-grown), grown * np.exp(-grown)
        else:
            p = expit(eta)
            slope = p * (1 - p)
        return np.stack([1 - p, p]), np.stack([-slope, slope])

    def expected(self, t: FloatArray) -> FloatArray:
        """What each record adds on average, shape (coordinates, records)."""
        chances, _ = self.chances(t)
        return np.asarray(np.einsum("kr,kdr->dr", chances, self.added))

    def moments(
        self, shares: FloatArray, t: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean of a record, shape (coordinates,), and its slopes, (coordinates, p)."""
        chances, slopes = self.chances(t)
        mean = np.zeros(self.added.shape[1])
        slope = np.zeros((self.added.shape[1], self.columns.shape[1]))
        for k, added in enumerate(self.added):
            mean += added @ (chances[k] * shares)
            slope += added @ (self.columns * (slopes[k] * shares)[:, None])
        return mean, slope

    def spread(
        self, shares: FloatArray, t: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Covariance of a record: by its columns, and by its response given them."""
        chances, _ = self.chances(t)
        means = np.zeros(self.added.shape[1:])
        second = np.zeros((len(means), len(means)))
        for k, added in enumerate(self.added):
            means += added * chances[k]
            second += (added * (chances[k] * shares)) @ added.T
        between = (means * shares) @ means.T
        mean = means @ shares
        return between - np.outer(mean, mean), second - between


def records_of(
    study: Study,
    release_set: str,
    order: int,
    weights: FloatArray,
    clipping: float | None,
) -> Records:
    """
    Records of the reference law, as a release of the study sees them.

    Parameters
    ----------
    study : Study
        The question.
    release_set, order : str, int
        What is released.
    weights : array of shape (coordinates,)
        Public weights of the coordinates.
    clipping : float or None
        Clipping norm; None where no single row is clipped.

    Raises
    ------
    FitError
        If a fit under noise is not built for the model.
    """
    model = study.model
    require_supported(model)
    public = release_set.startswith("public")
    anchor = study.anchor_values if public else None
    statistics = study.statistics(order, release_set)
    features = Features(model, statistics, anchor)
    rows, counted = reference_rows(features)
    rows = rows.select(np.flatnonzero(counted > 0))
    ones = np.ones(len(rows.response))
    responses = _responses(model)
    roles = [s.role for s in statistics]
    used = [i for i, role in enumerate(roles) if role not in _UNUSED] + [len(roles)]
    reach = clipping_of(features, weights, clipping or 1.0)
    added = []
    for y in responses:
        answered = replace(rows, response=ones * y)
        if clipping is None:
            weighted = np.asarray(features.on_rows(answered, ones) * weights[:, None])
        else:
            short = reach.terms(answered, ones)
            weighted = np.asarray(guarded(short.T, clipping).T * STEP)
        added.append(weighted[used])
    frame = AnchorFrame(model)
    f = evaluate_monomials(rows.values, frame.monomials, model.factors)
    return Records(
        added=np.array(added),
        columns=(frame.transform @ frame.columns @ f).T,
        shift=frame.offset @ f,
        responses=responses,
        family=model.family,
        link=model.link,
        of_columns=np.array([i == len(roles) or roles[i] != "y" for i in used]),
        used=np.array(used),
    )


def require_supported(model: Model) -> None:
    """
    Refuse models whose noisy sums cannot be fitted here.

    Raises
    ------
    FitError
        It says which can.
    """
    plain = model.trials is None and model.weights is None
    plain &= model.family != "poisson" or model.offset is None
    if model.family not in ("binomial", "poisson") or not plain:
        raise FitError(
            f"privacy: family {model.family} with trials, weights, exposure or a "
            "dispersion; sums with noise are fitted for 0/1 responses and for counts "
            "without an offset, both without weights; ask such a model, or release "
            "without noise behind the disclosure gate"
        )


def nearest(
    records: Records, t: FloatArray, pooled: FloatArray, variance: FloatArray
) -> FloatArray:
    """
    Shares of the records that come nearest to pooled sums, in the metric of the noise.

    Minimises ``k KL(q, uniform) + d' V^-1 d / 2`` over measures ``q``, with ``d`` the
    differences of the sums, ``V`` their noise and ``k`` a few rows.  The dual is
    smooth, convex and has a solution whatever the noise did to the sums.

    Parameters
    ----------
    records : Records
    t : array of shape (p,)
        Coefficients at which responses are expected.
    pooled : array of shape (coordinates,)
        Sums over all sites, the count last.
    variance : array of shape (coordinates,)
        Variance of their noise.

    Returns
    -------
    array of shape (records,)
        Sums to one.
    """
    means = records.expected(t)
    at = np.flatnonzero(records.of_columns)[:-1]
    shares = np.full(means.shape[1], 1.0 / means.shape[1])
    rows = max(float(pooled[-1] / (means[-1] @ shares)), 1.0)
    for _ in range(3):  # clipping makes the number of rows depend on the shares
        goal, blur = pooled[at] / rows, _PRIOR_ROWS * variance[at] / rows**2
        shares = _tilted(means[at], goal, blur + 1e-12)
        rows = max(float(pooled[-1] / (means[-1] @ shares)), 1.0)
    return shares


def _tilted(f: FloatArray, goal: FloatArray, blur: FloatArray) -> FloatArray:
    size = np.maximum(f.std(axis=1), 1e-9)
    f, blur = (f - goal[:, None]) / size[:, None], blur / size**2
    alpha = np.zeros(len(f))

    def value(a: FloatArray) -> tuple[float, FloatArray]:
        exponent = a @ f
        top = exponent.max()
        mass = np.exp(exponent - top)
        total = float(mass.sum())
        return top + np.log(total) + 0.5 * float(a @ (blur * a)), mass / total

    best, shares = value(alpha)
    for _ in range(_NEWTON):
        mean = f @ shares
        gradient = mean + blur * alpha
        hessian = (f * shares) @ f.T - np.outer(mean, mean) + np.diag(blur + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step)
        if gain < 1e-10:
            break
        size_of = 1.0
        while size_of > 1e-6:
            tried, new = value(alpha - size_of * step)
            if tried <= best - 1e-4 * size_of * gain:
                break
            size_of /= 2
        else:
            break
        alpha, best, shares = alpha - size_of * step, tried, new
    return shares


def _responses(model: Model) -> FloatArray:
    if model.family == "binomial":
        return np.array([0.0, 1.0])
    most = float(_MOST_COUNT)
    name = model.response.name
    if name in model.columns:
        most = min(most, bounds_of(model.columns[name])[1])
    return np.arange(0.0, most + 1.0)


def _counts(eta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    mean = np.exp(np.clip(eta, -30.0, 10.0))
    p = np.exp(y[:, None] * np.log(mean) - mean - gammaln(y + 1)[:, None])
    slope = p * (y[:, None] - mean)
    p[-1], slope[-1] = 1.0 - p[:-1].sum(axis=0), -slope[:-1].sum(axis=0)
    return np.maximum(p, 0.0), slope
