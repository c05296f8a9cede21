"""The small examples: they run, find what made the data, and leave a report."""

import numpy as np
import pytest

from examples.exposure import falls
from examples.noise import readmission
from examples.slopes import recovery


@pytest.mark.parametrize("example", [falls, recovery])
def test_an_example_finds_what_made_its_data(example, tmp_path):
    """Within three standard errors, next to the pooled fit, without a refusal."""
    result = example.run(tmp_path)
    found = result.to_frame()
    pooled = {row["name"]: row for row in result.values["pooled"]["fixed"]}

    for name, truth in example.TRUTH.items():
        row = found.loc[name]
        assert abs(row["estimate"] - truth) < 3 * row["se"]
        shift = row["estimate"] - pooled[name]["estimate"]
        assert np.abs(shift) < 0.05 * row["se"]
    assert set(result.to_frame("sites")["status"]) == {"used"}
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert result.converged


def test_the_example_under_noise_holds_what_made_its_data(tmp_path):
    """Noise is drawn anew each time: within five standard errors, which it widens."""
    result = readmission.run(tmp_path)
    found = result.to_frame()
    pooled = {row["name"]: row for row in result.values["pooled"]["fixed"]}
    privacy = result.values["privacy"]

    for name, truth in readmission.TRUTH.items():
        row = found.loc[name]
        assert abs(row["estimate"] - truth) < 5 * row["se"]
        assert row["se"] > 1.05 * pooled[name]["se"]
        assert privacy["se_inflation"][name] > 1.05
    assert (privacy["epsilon"], privacy["relation"]) == (1.0, "zero_out")
    assert {one["epsilon"] for one in privacy["per_site"]} == {1.0}
    assert result.converged
    assert "--epsilon 1 --delta 1e-06" in (tmp_path / "report.html").read_text()
