"""What a site does: table, moments, disclosure gate, privacy mechanism, release."""

from fedglmm_flower.site.answer import check_approved, release
from fedglmm_flower.site.config import SiteConfig, read_policy, read_site_config
from fedglmm_flower.site.ledger import Ledger
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.policy import NO_DISCLOSURE_CONTROL, Policy
from fedglmm_flower.site.privacy import Privacy
from fedglmm_flower.site.private_release import Wire, release_privately
from fedglmm_flower.site.released import ClusterRelease, Noise, Released, Spent
from fedglmm_flower.site.source import (
    CsvSource,
    FrameSource,
    RecordSource,
    TableSource,
    file_source,
)

__all__ = [
    "NO_DISCLOSURE_CONTROL",
    "ClusterRelease",
    "CsvSource",
    "FrameSource",
    "Ledger",
    "Noise",
    "Policy",
    "Privacy",
    "RecordSource",
    "Released",
    "SiteConfig",
    "SiteMemory",
    "Spent",
    "TableSource",
    "Wire",
    "check_approved",
    "file_source",
    "read_policy",
    "read_site_config",
    "release",
    "release_privately",
]
