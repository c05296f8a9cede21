"""A simulation in which a patient has several rows: the unit is the patient."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.envelope import (
    Binding,
    decode_release,
    read_identity,
    read_public,
    unseal,
)
from fedglmm_flower.flower.run_folder import RunFolder
from tests.command import BINOMIAL, refused, result_of, simulate, small_table

UNIT = ("--unit", "patient")
# So much that the noise of a count has a standard deviation of half a row.
NOISE = ("--epsilon", "50")


def visits() -> pd.DataFrame:
    """Of the 60 rows of hospital a the last 40 are one patient's."""
    names = np.array([f"p{i}" for i in range(240)])
    names[20:60] = "frequent"
    return small_table().assign(patient=names)


def noisy_rows(out: Path) -> float:
    """What the release of hospital a says of its count."""
    run = RunFolder(out).read()
    content = unseal(
        run.sealed["a"],
        binding=Binding("release", run.study.digest, run.run_id, "a"),
        recipient=read_identity(out / "keys" / "coordinator.key"),
        sender=read_public(out / "keys" / "sites" / "a.pub"),
    )
    found = decode_release(content).clusters[0].noisy_rows
    assert found is not None
    return found


def test_under_noise_a_patient_with_forty_rows_weighs_no_more_than_one(tmp_path):
    """At most the clipping norm, which is 3.5 rows here; 21 patients are told."""
    ended = simulate(tmp_path, visits(), *BINOMIAL, *NOISE, *UNIT)
    result = result_of(tmp_path)

    assert ended.status in (0, 4), ended.err
    assert result["sites"][0]["n_rows"] == 21
    assert {site["unit"] for site in result["privacy"]["per_site"]} == {"unit"}
    assert noisy_rows(tmp_path / "out") < 20 + 3.5 + 3
    simulate(tmp_path, visits(), *BINOMIAL, *NOISE)
    assert noisy_rows(tmp_path / "out") > 50
    assert result_of(tmp_path)["sites"][0]["n_rows"] == 60


def test_the_gate_counts_patients(tmp_path):
    """Sixty rows of 21 patients are too few; by the option, and by a policy's unit."""
    policy = tmp_path / "site.toml"
    policy.write_text('[data]\nunit = "patient"\n[disclosure]\nmin_rows = 50\n')
    for options in (UNIT, ("--policy", policy)):
        assert simulate(tmp_path, visits(), *BINOMIAL, *options).status == 0
        sites = result_of(tmp_path)["sites"]
        assert [site["status"] for site in sites] == ["refused", *["used"] * 3]


@pytest.mark.parametrize("more", [(), NOISE], ids=["gate", "noise"])
def test_what_no_site_could_answer_is_an_error(tmp_path, more):
    """A column that is not there, or that the study reads."""
    for unit, code, words in (
        ("nobody", "data-invalid", "column 'nobody' is missing"),
        ("x", "study-mismatch", "the unit that is protected"),
    ):
        ended = simulate(tmp_path, visits(), *BINOMIAL, "--unit", unit, *more)
        refused(ended, 2, code, words)
        assert not (tmp_path / "out").exists()


def test_patients_are_named_by_one_column(tmp_path):
    """A policy and an option that differ leave open who is protected."""
    policy = tmp_path / "site.toml"
    policy.write_text('[data]\nunit = "patient"\n')
    options = ("--policy", policy, "--unit", "g")

    ended = simulate(tmp_path, visits(), *BINOMIAL, *options)
    refused(ended, 2, "usage", "'g' and 'patient'", "one column")
