"""The whole exchange in files: the numbers of a simulation, and the same refusals."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fedglmm_flower.study import write_study
from tests.command import BINOMIAL, GAUSSIAN, POISSON, fedglmm, refused, small_table
from tests.no_server import SITES, Consortium, consortium
from tests.saved_run import use_again

SETS = {
    "gaussian": GAUSSIAN,
    "binomial": (*BINOMIAL, "--order", "2"),
    "poisson": (*POISSON, "--order", "2"),
}


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Consortium:
    """A consortium whose sites have all released."""
    made = consortium(tmp_path_factory.mktemp("released"), small_table(), *GAUSSIAN)
    for site in SITES:
        assert made.release(site).status == 0
    return made


@pytest.fixture
def copied(released: Consortium, tmp_path: Path) -> Consortium:
    """A copy of it that a test may break."""
    return released.copy(tmp_path / "c")


def numbers(path: Path) -> list[float]:
    """All that is estimated, in one list."""
    found = json.loads(path.read_text())
    rows = [*found["fixed"], *found["random"], *found["ranef"]]
    out = [v for row in rows for v in row.values() if isinstance(v, float)]
    return [*out, found["loglik"], found["aic"], found["bic"]]


@pytest.mark.parametrize(
    "family", ["gaussian", pytest.param("binomial", marks=pytest.mark.lengthy)]
)
def test_the_folder_of_files_can_be_used_again(family, released, tmp_path):
    """Refit, compare, export and report: as the folder of a simulation."""
    made = released
    if family != "gaussian":
        made = consortium(tmp_path, small_table(), *SETS[family])
        for site in SITES:
            assert made.release(site).status == 0
    ended = made.combine(*made.sealed(), out="again")
    assert ended.status == 0, ended.err
    response = made.study.formula.partition(" ")[0]
    smaller = f"{response} ~ x + (1 | hospital)"

    use_again(made.root / "again", made.keys, smaller, tmp_path / "new")


@pytest.mark.parametrize("family", SETS)
def test_files_give_the_numbers_of_a_simulation(family, tmp_path):
    """To 1e-12, from key files to every site's estimates and fit check."""
    made = consortium(tmp_path, small_table(), *SETS[family])
    for site in SITES:
        assert made.release(site).status == 0
    ended = made.combine(*made.sealed())
    assert ended.status == 0, ended.err
    theirs = numbers(tmp_path / "out" / "result.json")
    ours = numbers(tmp_path / "run" / "result.json")

    assert len(ours) > 10
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    for site in SITES:
        assert made.receive(site, made.result(site)).status == 0
        received = json.loads((made.inbox(site) / "estimates.json").read_text())
        check = made.inbox(site) / "fit_check.json"
        simulated = tmp_path / "out" / "sites" / site / "fit_check.json"
        told, before = json.loads(check.read_text()), json.loads(simulated.read_text())

        assert {row["level"] for row in received["ranef"]} == {site}
        assert check.stat().st_mode & 0o777 == 0o600
        assert told["observed"] == pytest.approx(before["observed"], rel=1e-12)
        assert told["pearson_dispersion"] == pytest.approx(
            before["pearson_dispersion"], rel=1e-9
        )


def test_a_folder_of_files_in_any_order_and_twice_is_the_same_run(copied):
    """A file's name means nothing, and a release that came twice counts once."""
    box = copied.root / "box"
    box.mkdir()
    for number, path in enumerate(reversed(copied.sealed())):
        shutil.copy(path, box / f"{number}.sealed")
        shutil.copy(path, box / f"again-{number}.sealed")
    assert copied.combine(*copied.sealed()).status == 0
    ended = copied.combine(box, out="other")

    assert ended.status == 0, ended.err
    assert "not used" not in ended.err
    assert numbers(copied.root / "other" / "result.json") == numbers(
        copied.root / "run" / "result.json"
    )


def test_a_file_that_comes_late_joins_the_others(copied):
    """Below the quorum nothing is fitted, and what came is kept for the rest."""
    first = copied.combine(*copied.sealed()[:2])
    refused(first, 5, "quorum-not-reached", "2 of 4", "site-missing")
    kept = sorted(p.name for p in (copied.root / "run" / "sealed").iterdir())
    second = copied.combine(*copied.sealed()[2:])

    assert kept == ["a.sealed", "b.sealed"]
    assert second.status == 0, second.err
    assert json.loads((copied.root / "run" / "result.json").read_text())["n_sites"] == 4


def test_a_site_gives_the_same_answer_again(copied):
    """The same bytes for the same run, the same release for another."""
    again = copied.root / "again.sealed"
    assert copied.release("a", again).status == 0

    assert again.read_bytes() == (copied.root / "a.sealed").read_bytes()
    assert (copied.inbox("a") / "answers.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_release_is_never_overwritten(copied):
    """Neither the release of this study nor any other file."""
    before = (copied.root / "a.sealed").read_bytes()

    refused(copied.release("a"), 2, "storage-failed", "exists", "never overwritten")
    assert (copied.root / "a.sealed").read_bytes() == before


def test_a_study_that_is_not_approved_is_not_answered(copied):
    """The officer's list holds in files as it does over Flower."""
    text = copied.config("a").read_text()
    copied.config("a").write_text(text.replace(copied.study.digest, "0" * 64))
    out = copied.root / "new.sealed"

    refused(copied.release("a", out), 2, "study-mismatch", "is not approved here")
    assert not out.exists()


def test_a_site_below_the_policy_refuses_and_still_receives(copied):
    """No file leaves it; the estimates of the others reach it all the same."""
    with copied.config("a").open("a") as file:
        file.write("[disclosure]\nmin_rows = 5000\n")
    out = copied.root / "new.sealed"
    refused(copied.release("a", out, "--run", "2"), 3, "disclosure-refused")
    for site in SITES[1:]:
        assert copied.release(site, copied.root / f"{site}2", "--run", "2").status == 0
    files = [copied.root / f"{site}2" for site in SITES[1:]]
    ended = copied.combine(*files, more=("--run", "2", "--quorum", 3))
    assert ended.status == 0, ended.err

    assert not out.exists()
    assert copied.receive("a", copied.result("a")).status == 0
    assert (copied.inbox("a") / "fit_check.json").exists()


def other_run(made: Consortium) -> None:
    """A release of an earlier collection."""
    (made.root / "a.sealed").unlink()
    assert made.release("a", None, "--run", "earlier").status == 0


def other_study(made: Consortium) -> None:
    """The coordinator has another study than the sites."""
    write_study(replace(made.study, name="another"), made.study_file)


def other_site(made: Consortium) -> None:
    """Site b answers as site a, with its own key."""
    (made.root / "a.sealed").unlink()
    text = made.config("b").read_text().replace('site = "b"', 'site = "a"')
    made.config("b").write_text(text)
    assert made.release("b", made.root / "a.sealed").status == 0


def altered(made: Consortium) -> None:
    """A byte is changed on the way."""
    content = bytearray((made.root / "a.sealed").read_bytes())
    content[-9] ^= 1
    (made.root / "a.sealed").write_bytes(content)


def cut_off(made: Consortium) -> None:
    """The copy broke off."""
    content = (made.root / "a.sealed").read_bytes()
    (made.root / "a.sealed").write_bytes(content[:-100])


def no_release(made: Consortium) -> None:
    """Another file with the right name."""
    (made.root / "a.sealed").write_bytes(b"minutes of the meeting")


REASONS = {
    other_run: "belongs to another run, or is replayed",
    other_study: "belongs to another study",
    other_site: "claims to be from another key than the pinned one",
    altered: "was changed after it was sealed",
    cut_off: "envelope-invalid",
    no_release: "envelope-invalid",
}


@pytest.mark.parametrize("fault", REASONS)
def test_what_is_not_the_sites_answer_is_refused_by_name(copied, fault):
    """No estimate rests on it; the reason is named, for the file alone or for all."""
    fault(copied)
    ended = copied.combine(*copied.sealed())

    assert ended.status == (2 if fault is other_study else 5), ended.err
    assert REASONS[fault] in ended.err or fault in (cut_off, no_release)
    assert not (copied.root / "run" / "result.json").exists()
    if fault is other_study:
        assert not (copied.root / "run").exists()
        return
    ended = copied.combine(*copied.sealed(), more=("--quorum", 3))
    assert ended.status == 0, ended.err
    assert REASONS[fault] in ended.err
    assert f"{copied.root / 'a.sealed'}: not used" in ended.err


def test_changed_rows_are_refused_and_two_releases_are_not_chosen_between(copied):
    """First at the site; where all its records are lost, by the coordinator."""
    with (copied.config("a").parent / "data.csv").open("a") as file:
        file.write(small_table().iloc[[0]].to_csv(index=False, header=False))
    second = copied.root / "second.sealed"
    refused(copied.release("a", second), 2, "data-changed", "table has changed")
    assert not second.exists()
    shutil.rmtree(copied.config("a").parent / "snapshots")
    refused(copied.release("a", second), 2, "storage-failed", "is missing, and")
    shutil.rmtree(copied.inbox("a"))
    assert copied.release("a", second).status == 0
    ended = copied.combine(*copied.sealed(), second)

    refused(ended, 2, "exchange-invalid", "second release of site 'a'")
    assert not (copied.root / "run").exists()


@pytest.mark.parametrize("fault", ["other site", "other run", "forged", "release"])
def test_a_result_that_is_not_the_coordinators_for_this_site_is_refused(copied, fault):
    """And the estimates that the site has stay as they are."""
    assert copied.combine(*copied.sealed()).status == 0
    assert copied.receive("a", copied.result("a")).status == 0
    before = (copied.inbox("a") / "estimates.json").read_bytes()
    path = copied.result("a")
    if fault == "other site":
        path = copied.result("b")
    elif fault == "other run":
        shutil.rmtree(copied.inbox("a"))
        assert copied.release("a", copied.root / "a2", "--run", "2").status == 0
        before = b""
    elif fault == "forged":
        content = bytearray(path.read_bytes())
        content[-9] ^= 1
        path.write_bytes(content)
    else:
        path = copied.root / "a.sealed"
    found, _ = copied.receive("a", path).line

    assert found == "envelope-invalid"
    stored = copied.inbox("a") / "estimates.json"
    assert (stored.read_bytes() if stored.exists() else b"") == before


def test_two_sites_are_too_few_to_be_told_the_estimates(copied):
    """With two, each could subtract its own sums."""
    ended = copied.combine(*copied.sealed()[:2], more=("--quorum", 2))

    assert ended.status == 0
    assert "too few sites" in ended.err
    assert not (copied.root / "run" / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("RUN", "--seed", "1"), "as it was begun"),
        (("FILE",), "is no folder of a run"),
        (("FILE", "--study", "S", "--out", "O"), "--keys"),
    ],
)
def test_a_call_that_is_neither_a_run_nor_files_is_refused(copied, arguments, says):
    """What is missing or too much is named."""
    assert copied.combine(*copied.sealed()).status == 0
    places = {"RUN": copied.root / "run", "FILE": copied.root / "a.sealed"}
    ended = fedglmm("coordinator", "combine", *(places.get(a, a) for a in arguments))

    refused(ended, 2, "usage", says)


def test_a_folder_of_another_run_is_not_written_into(copied):
    """The estimates of the first run stay."""
    assert copied.combine(*copied.sealed()).status == 0
    before = (copied.root / "run" / "result.json").read_bytes()
    ended = copied.combine(copied.root / "a.sealed", more=("--run", "2"))

    refused(ended, 2, "usage", "a new folder is required")
    assert (copied.root / "run" / "result.json").read_bytes() == before
