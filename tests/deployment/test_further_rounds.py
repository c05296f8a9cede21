"""More rounds than one in a deployment: a step, and a site that is lost before it."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedglmm_flower.study import read_study, write_study
from tests.command import fedglmm
from tests.deployment.comparing import check_deployed, same
from tests.deployment.consortium import SITES, Consortium
from tests.deployment.test_faults import asleep, await_two

pytestmark = [
    pytest.mark.lengthy,
    pytest.mark.network,
    pytest.mark.timeout(900),
]


@pytest.fixture
def study(consortium) -> Iterator[Path]:
    """The guide's study with two more questions, which every site approves for now."""
    place = consortium.folder("coordinator")
    asked = replace(read_study(place / "study.toml"), rounds=2)
    write_study(asked, place / "further.toml")
    files = [consortium.folder(site) / "site.toml" for site in SITES]
    before = [file.read_text() for file in files]
    for file, text in zip(files, before, strict=True):
        more = text.replace('approved = ["', f'approved = ["{asked.digest}", "')
        assert more != text
        file.write_text(more)
    yield place / "further.toml"
    for file, text in zip(files, before, strict=True):
        file.write_text(text)


def test_a_step_in_a_deployment_gives_the_numbers_of_simulate(
    consortium, study, patients, tmp_path
):
    """TLS, SuperNodes and a ServerApp of its own: the same rounds to 1e-12."""
    patients.to_csv(tmp_path / "all.csv", index=False)
    run = consortium.submit("step", study=str(study), rounds="refine:1", deadline=600.0)
    status, details = consortium.ended(run)
    simulated = tmp_path / "out"
    ended = fedglmm(
        *("simulate", tmp_path / "all.csv", "--study", study, "--out", simulated),
        *("--rounds", "refine:1"),
    )
    found = consortium.result("step")

    assert status == "finished:completed", details
    assert ended.status == 0, ended.err
    assert found["diagnostics"]["refinement"]["rounds"] == 3
    expected = json.loads((simulated / "result.json").read_text())
    check_deployed(found, expected)


def test_a_site_that_is_lost_after_the_first_round_leaves_its_result(consortium, study):
    """The run ends by its deadline with the one-round estimates, and says so."""
    given: dict[str, float | str] = {"study": str(study), "rounds": "refine:1"}
    try:
        # North answers last, so that south is halted before anything else is asked.
        with asleep(consortium, "north"):
            run = consortium.submit("lost", **given, deadline=consortium.deadline())
            await_two(consortium, "lost")
            consortium.signal("south", signal.SIGSTOP)
        status, details = consortium.ended(run)
    finally:
        consortium.signal("south", signal.SIGCONT)
    assert status == "finished:completed", details
    found = consortium.result("lost")
    notes = found["diagnostics"]["refinement"]

    assert [site["status"] for site in found["sites"]] == ["used"] * len(SITES)
    assert (notes["state"], notes["lost"]) == ("site-lost", ["south"])
    assert "did not give its likelihood" in " ".join(found["diagnostics"]["warnings"])
    assert same(one_round(consortium), found["fixed"])


def one_round(consortium: Consortium) -> list[dict[str, object]]:
    """Fixed effects of the same study without further rounds, from the releases."""
    place = consortium.folder("coordinator")
    again = fedglmm("coordinator", "combine", place / "lost", "--keys", place / "keys")
    assert again.status == 0, again.err
    found: list[dict[str, object]] = consortium.result("lost")["fixed"]
    return found
