"""A coordinator, two sites, and the place of one message between them."""

import math
from pathlib import Path

import pytest

from fedglmm_flower.envelope import Binding, Identity, new_identity
from fedglmm_flower.site.released import ClusterRelease, Released, Spent


@pytest.fixture(scope="session")
def coordinator() -> Identity:
    """Who receives releases."""
    return new_identity("coordinator")


@pytest.fixture(scope="session")
def site() -> Identity:
    """Who sends them."""
    return new_identity("site a")


@pytest.fixture(scope="session")
def stranger() -> Identity:
    """Who has no part in the message."""
    return new_identity("site b")


@pytest.fixture
def binding() -> Binding:
    """A release of site a in run 1."""
    return Binding("release", "0123456789abcdef" * 4, "run 1", "site a")


@pytest.fixture
def released() -> Released:
    """An exact release of one cluster."""
    return Released(
        site="site a",
        study_digest="0123456789abcdef" * 4,
        release_set="canonical",
        order=4,
        n_missing=3,
        clusters=(ClusterRelease((), 120, (120.0, 47.0, -0.25)),),
        spent=Spent("none", math.inf, 0.0, "none"),
        software="fedglmm-flower 0.1.0",
    )


@pytest.fixture
def identity() -> Identity:
    """A party with a name that needs care in every format."""
    return new_identity('Zürich "Ost" \\ 中心 # 1')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a key file will be; its folder is not there yet."""
    return tmp_path / "keys" / "site.key"
