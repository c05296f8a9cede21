"""The same model again: fewer columns, other responses, another method."""

import re
from dataclasses import replace

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.generalized import fit_rows
from fedglmm_flower.glmm.linear import fit_products
from fedglmm_flower.glmm.rows import CrossProducts, ModelRows

Source = ModelRows | CrossProducts


def refit(
    fitted: FittedModel, source: Source | None = None, method: str | None = None
) -> FittedModel:
    """Fit a model's family and link again, to other rows or by another method."""
    source = fitted.source if source is None else source
    if method is None and (source.random or fitted.family == "gaussian"):
        method = fitted.method
    if isinstance(source, CrossProducts):
        return fit_products(source, method)
    return fit_rows(source, family=fitted.family, link=fitted.link, method=method)


def by_likelihood(fitted: FittedModel) -> FittedModel:
    """The ML fit of a REML fit; any other fit as it is."""
    return refit(fitted, method="ml") if fitted.method == "reml" else fitted


def without(source: Source, names: set[str]) -> Source:
    """The source with some fixed-effect columns left out."""
    keep = [j for j, name in enumerate(source.names) if name not in names]
    return replace(
        source,
        names=tuple(source.names[j] for j in keep),
        coefficients=source.coefficients[keep],
    )


def term_of(name: str) -> str:
    """
    The formula term that a column belongs to.

    Examples
    --------
    >>> term_of("urban[T.Y]:age")
    'urban:age'
    """
    return re.sub(r"\[[^\]]*\]", "", name)


def terms_of(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Columns of each term in formula order, the intercept left out."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name != "Intercept":
            found.setdefault(term_of(name), []).append(name)
    return found


def contains(outer: str, inner: str) -> bool:
    """Whether a term is an interaction that another term is a part of."""
    return set(inner.split(":")) < set(outer.split(":"))
