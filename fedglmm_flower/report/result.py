"""A result that shows itself: as text, as a table, in a notebook, as figures."""

from typing import TYPE_CHECKING, Literal

from fedglmm_flower import coordinator
from fedglmm_flower.errors import UsageError
from fedglmm_flower.report.forms import rendered
from fedglmm_flower.report.page import notebook_html
from fedglmm_flower.report.plots import plot_forest, plot_ranef
from fedglmm_flower.report.text import summary_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Part = Literal["fixed", "random", "ranef", "sites"]
_INDEX = {
    "fixed": ["name"],
    "random": ["group", "term1", "term2"],
    "ranef": ["group", "term", "level"],
    "sites": ["site"],
}


class Result(coordinator.Result):
    """
    What a run found, with the ways to show it; holds no data of single rows.

    Parameters
    ----------
    values : mapping
        The content of ``result.json``.
    """

    @classmethod
    def of(cls, found: coordinator.Result) -> "Result":
        """The same values, with the ways to show them."""
        return cls(found.values)

    def summary(self) -> str:
        """The result as text: warnings first, then the tables in lme4's order."""
        return summary_text(self.values)

    def report(self, form: str = "html") -> str:
        """
        The whole report.

        Parameters
        ----------
        form : {"html", "md", "txt", "json", "pdf-ready"}
            HTML is one self-contained document; ``pdf-ready`` is one laid out for
            sheets of A4.

        Raises
        ------
        UsageError
            For another word.
        """
        return rendered(self.values, form)

    def to_frame(self, part: Part = "fixed") -> "pd.DataFrame":
        """
        A part of the result as a table.

        Parameters
        ----------
        part : {"fixed", "random", "ranef", "sites"}
            Fixed effects, variance components, effects of single sites, or what each
            site sent.

        Returns
        -------
        DataFrame
            Named as in ``result.json``; indexed by what the rows are called.

        Raises
        ------
        UsageError
            For another word.
        """
        if part not in _INDEX:
            raise UsageError(
                f"to_frame: found {part!r}; one of {', '.join(_INDEX)} is required; "
                "name one of them"
            )
        import pandas as pd  # noqa: PLC0415 - a result can be read without it

        rows = [dict(row) for row in self.values[part]]
        index = _INDEX[part]
        if not rows:
            return pd.DataFrame(columns=index).set_index(index)
        return pd.DataFrame(rows).set_index(index)

    def plot_forest(self, ax: "Axes | None" = None) -> "Axes":
        """Draw :func:`fedglmm_flower.report.plots.plot_forest` of this result."""
        return plot_forest(self.values, ax)

    def plot_ranef(
        self,
        group: str | None = None,
        term: str = "Intercept",
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw :func:`fedglmm_flower.report.plots.plot_ranef` of this result."""
        return plot_ranef(self.values, group, term, ax)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook_html(self.values)
