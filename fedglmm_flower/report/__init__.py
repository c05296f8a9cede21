"""From a result to what people read."""

from fedglmm_flower.report.text import summary_text

__all__ = ["summary_text"]
