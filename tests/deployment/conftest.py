"""One consortium for all tests of a deployment: the guide is followed once."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from tests.deployment.consortium import SITES, Consortium
from tests.deployment.guide import blocks
from tests.deployment.recording import record

ROWS = 200


def table(seed: int) -> pd.DataFrame:
    """Patients of three sites, with ages that no other file holds by chance."""
    rng = np.random.default_rng(seed)
    site = np.repeat(SITES, ROWS)
    age = rng.uniform(25, 85, site.size).round(9)
    shift = np.repeat([0.5, -0.4, 0.0], ROWS)
    chance = 1 / (1 + np.exp(-(0.04 * (age - 55) + shift)))
    event = (rng.random(site.size) < chance).astype(int)
    return pd.DataFrame({"site": site, "event": event, "age": age})


@pytest.fixture(scope="session")
def patients() -> pd.DataFrame:
    """The rows of all sites."""
    return table(20261121)


@pytest.fixture(scope="session")
def consortium(tmp_path_factory, patients) -> Iterator[Consortium]:
    """Machines on which the guide was followed to its end, one run included."""
    built = Consortium(tmp_path_factory.mktemp("consortium"))
    # What the study owner may see: other patients, and the ends of the scale.
    seen = table(5)
    seen.loc[[0, 1], "age"] = [20.0, 90.0]
    seen.to_csv(built.folder("coordinator") / "example.csv", index=False)
    for site, rows in patients.groupby("site"):
        data = built.folder(str(site)) / "data"
        data.mkdir()
        rows.drop(columns="site").to_csv(data / "table.csv", index=False)
    try:
        for block in blocks():
            if block.machine in ("install", "shell"):
                continue  # the environment of the tests is the installed one
            if "supernode ls" in block.text:
                record(built.folder("relay") / "flower" / "state.db")
                built.await_online()
            built.paste(block)
        yield built
    finally:
        built.close()
