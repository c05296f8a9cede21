"""What every test shares: a seeded generator, and a Flower that stays silent."""

import os
import tempfile

import numpy as np
import pytest

# Flower reads these when it is imported, so they are set before any test module is.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("FLWR_HOME", tempfile.mkdtemp(prefix="flwr-home-"))
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that gives every test the same numbers in any order of tests."""
    return np.random.default_rng(20261121)
