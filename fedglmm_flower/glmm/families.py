"""The families by name, and their default links."""

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.family import (
    BinomialLogit,
    Family,
    GammaLog,
    GaussianIdentity,
    PoissonLog,
)
from fedglmm_flower.glmm.links import BinomialCloglog, BinomialProbit
from fedglmm_flower.glmm.negative_binomial import NegativeBinomialLog

FAMILIES: dict[tuple[str, str], type[Family]] = {
    (f.name, f.link): f
    for f in (
        GaussianIdentity,
        BinomialLogit,
        BinomialProbit,
        BinomialCloglog,
        PoissonLog,
        GammaLog,
        NegativeBinomialLog,
    )
}


def family_class(family: str, link: str | None = None) -> type[Family]:
    """
    The class of a family, with its first link unless another is named.

    Raises
    ------
    UsageError
        If the combination is not supported.
    """
    known = [pair for pair in FAMILIES if pair[0] == family]
    if not known:
        names = ", ".join(dict.fromkeys(name for name, _ in FAMILIES))
        raise UsageError(f"family: found {family!r}; known are {names}")
    wanted = known[0] if link is None else (family, link)
    if wanted not in FAMILIES:
        links = ", ".join(name for _, name in known)
        raise UsageError(f"link: found {link!r}; {family} takes {links}")
    return FAMILIES[wanted]
