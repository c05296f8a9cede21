"""What every test shares: a seeded generator, one thread, and a silent Flower."""

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # so that its threads are there to be limited
from threadpoolctl import threadpool_limits

# Flower reads these when it is imported, so they are set before any test module is.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("FLWR_HOME", tempfile.mkdtemp(prefix="flwr-home-"))
os.environ.setdefault("MPLBACKEND", "Agg")

# Matrices are small: two threads take twice the time of one, and the tests already
# fill the cores.  The variables are for the processes that tests start.
threadpool_limits(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Called where workers are asked for, whatever ``--dist`` says."""
    from tests.places import ByPlace

    return ByPlace(config, log)


@pytest.fixture(scope="session", autouse=True)
def power_that_stays() -> Iterator[None]:
    """No test cuts the power: writing to the last sector would only take time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that gives every test the same numbers in any order of tests."""
    return np.random.default_rng(20261121)
