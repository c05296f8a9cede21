"""From a result to what people read."""

from fedglmm_flower.report.forms import FORMS, rendered
from fedglmm_flower.report.result import Result
from fedglmm_flower.report.text import summary_text

__all__ = ["FORMS", "Result", "rendered", "summary_text"]
