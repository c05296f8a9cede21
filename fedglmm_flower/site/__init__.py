"""What a site does: table, moments, disclosure gate, privacy mechanism, release."""

from fedglmm_flower.site.answer import check_approved, release
from fedglmm_flower.site.config import SiteConfig, read_policy, read_site_config
from fedglmm_flower.site.frozen import FrozenSnapshots
from fedglmm_flower.site.policy import NO_DISCLOSURE_CONTROL, Policy
from fedglmm_flower.site.released import ClusterRelease, Released, Spent
from fedglmm_flower.site.source import CsvSource, FrameSource, TableSource, file_source

__all__ = [
    "NO_DISCLOSURE_CONTROL",
    "ClusterRelease",
    "CsvSource",
    "FrameSource",
    "FrozenSnapshots",
    "Policy",
    "Released",
    "SiteConfig",
    "Spent",
    "TableSource",
    "check_approved",
    "file_source",
    "read_policy",
    "read_site_config",
    "release",
]
