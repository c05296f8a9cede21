"""What can be said of a fit, in words: each verdict is a paragraph with its cure."""

from collections.abc import Sequence
from enum import Enum

_MOST_NAMES = 8


class Verdict(Enum):
    """Outcome of a fit; the value is the explanation shown to the user."""

    CONVERGED = (
        "The optimiser reached the maximum of the likelihood: the gradient is zero "
        "to 1e-8 standard errors and the curvature is that of a maximum."
    )
    BOUNDARY = (
        "The estimate lies on the boundary: a standard deviation is zero or a "
        "correlation is 1 or -1. The clusters differ no more than chance explains. "
        "This is a valid maximum, not an error; the other estimates are those of the "
        "model without that effect. If the effect is not of interest, drop it from "
        "the formula."
    )
    FRACTIONAL_RESPONSE = (
        "The response holds counts that are no whole numbers. They enter the "
        "likelihood as they are, which is meant for weighted or pooled data; for "
        "ordinary counts check the response column and its family."
    )
    POISSON_LIMIT = (
        "The counts vary no more than Poisson counts do, so the negative binomial's "
        "theta has no finite estimate; the other estimates are those of the Poisson "
        "model. This is a valid maximum, not an error. Fit family poisson instead."
    )
    SEPARATION = (
        "Separation is suspected: some combination of predictors tells the responses "
        "apart without error (for example a factor level without any event), so the "
        "likelihood grows for ever as a coefficient goes to infinity. Merge rare "
        "levels, drop the predictor, or use a penalised method."
    )
    NOT_CONVERGED = (
        "The optimiser stopped before the gradient vanished; do not use the "
        "estimates. Usual causes: (a) too few rows or clusters for the number of "
        "random effects, (b) nearly collinear predictors, (c) nearly separated "
        "responses. Simplify the random effects first."
    )
    UNIDENTIFIABLE = (
        "The likelihood is flat in some direction, so the data do not determine all "
        "parameters and standard errors are not available. Usual causes: more random "
        "effects than the clusters can tell apart, or two grouping factors with the "
        "same clusters. Drop random effects until every one has a role of its own."
    )
    RANK_DEFICIENT = (
        "the fixed effects are linearly dependent, so their coefficients are not "
        "determined; remove the redundant term from the formula"
    )
    CONSTANT_COLUMN = (
        "it is constant over all rows, or varies by less than a millionth of its "
        "size, and cannot be told apart from the intercept; remove the term from the "
        "formula, or subtract a constant first"
    )

    @property
    def fitted(self) -> bool:
        """Whether the estimates are those of a maximum."""
        return self in (
            Verdict.CONVERGED,
            Verdict.BOUNDARY,
            Verdict.POISSON_LIMIT,
            Verdict.FRACTIONAL_RESPONSE,
        )

    def about(self, names: Sequence[str]) -> str:
        """The explanation, with the coefficients that diverge under separation."""
        if self is not Verdict.SEPARATION or not names:
            return self.value
        shown = ", ".join(names[:_MOST_NAMES])
        more = len(names) - _MOST_NAMES
        rest = f" and {more} more" if more > 0 else ""
        return f"{self.value} Without a finite estimate: {shown}{rest}."
