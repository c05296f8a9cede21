"""Federated generalized linear mixed models in one round of communication."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fedglmm_flower import glmm
    from fedglmm_flower.flower.refit import refit
    from fedglmm_flower.flower.simulate import simulate
    from fedglmm_flower.report import Result
    from fedglmm_flower.site import Policy, Privacy

__all__ = ["Policy", "Privacy", "Result", "__version__", "glmm", "refit", "simulate"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing stays cheap."""
    from importlib import import_module  # noqa: PLC0415 - see above

    if name in ("refit", "simulate"):
        return getattr(import_module(f"fedglmm_flower.flower.{name}"), name)
    if name == "Result":
        return import_module("fedglmm_flower.report").Result
    if name in ("Policy", "Privacy"):
        return getattr(import_module("fedglmm_flower.site"), name)
    if name == "glmm":
        return import_module("fedglmm_flower.glmm")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
