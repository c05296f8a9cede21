"""The scale on which people read a coefficient."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """
    Names of what a coefficient says.

    Parameters
    ----------
    outcome : str
        What is modelled, before the name of the response.
    predictor : str
        Left side of the model's equation, with ``{}`` for the response.
    effect : str
        What one coefficient is.
    is_ratio : bool
        Whether it is read as an exponential.
    """

    outcome: str
    predictor: str
    effect: str
    is_ratio: bool


_LOGIT = Scale("probability of", "logit P({})", "odds ratio", True)
_SCALES = {
    ("binomial", "logit"): _LOGIT,
    ("binomial", "probit"): Scale(
        "probability of", "probit P({})", "difference of probits", False
    ),
    ("binomial", "cloglog"): Scale(
        "probability of", "cloglog P({})", "hazard ratio", True
    ),
    ("poisson", "log"): Scale("rate of", "log E({})", "rate ratio", True),
    ("nbinom2", "log"): Scale("rate of", "log E({})", "rate ratio", True),
    ("gamma", "log"): Scale("mean of", "log E({})", "ratio of means", True),
}
_PLAIN = Scale("mean of", "E({})", "difference", False)


def scale_of(family: str, link: str) -> Scale:
    """
    How coefficients of a family and link are read.

    Examples
    --------
    >>> scale_of("poisson", "log").effect
    'rate ratio'
    """
    return _SCALES.get((family, link), _PLAIN)
