"""The ServerApp that the coordinator runs."""

from fedglmm_flower.flower.server import app

__all__ = ["app"]
