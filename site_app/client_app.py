"""The ClientApp that a site's SuperNode runs."""

from fedglmm_flower.flower.client import app

__all__ = ["app"]
