"""The exchange in files under a manifest: the same refusals as over Flower."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedglmm_flower.coordinator import Result
from fedglmm_flower.envelope import (
    Manifest,
    new_identity,
    read_header,
    read_identity,
    sign_manifest,
    split_signed,
)
from fedglmm_flower.flower.approvals import APPROVALS, Approval, add_approval
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Request
from fedglmm_flower.flower.site_files import FIRST_RUN, run_of
from tests.command import GAUSSIAN, fedglmm, numbers, refused, small_table
from tests.no_server import SITES, Consortium, consortium

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
OTHER_MANIFEST = "another manifest, or to none"


def under(made: Consortium) -> tuple[str, Path]:
    """The option that names the manifest."""
    return "--manifest", made.root / "manifest.toml"


def estimated(folder: Path) -> dict[str, object]:
    """All of a result that follows from the releases."""
    return {**numbers(Result.load(folder).to_dict()), "timing": None}


@pytest.fixture(scope="module")
def arranged(tmp_path_factory) -> Consortium:
    """A consortium that answers under a signed manifest alone, and has answered."""
    made = consortium(tmp_path_factory.mktemp("arranged"), small_table(), *GAUSSIAN)
    owner = ("--owner", made.root / "owner.key")
    assert fedglmm("keys", "new", "owner", "--out", made.root).status == 0
    ended = fedglmm(
        *("study", "sign", made.study_file, "--keys", made.keys, *owner),
        *("--expires", "2099-06-30", "--out", made.root / "manifest.toml"),
    )
    assert ended.status == 0, ended.err
    for site in SITES:
        text = made.config(site).read_text()
        closed = text.replace("[data]", "require_manifest = true\n[data]")
        made.config(site).write_text(closed)
        ended = fedglmm(
            *("site", "approve", made.root / "manifest.toml"),
            *("--study", made.study_file, "--config", made.config(site)),
            *("--owner", made.root / "owner.pub"),
        )
        assert ended.status == 0, ended.err
        ended = made.release(site, None, *under(made))
        assert ended.status == 0, ended.err
    return made


@pytest.fixture
def copied(arranged: Consortium, tmp_path: Path) -> Consortium:
    """A copy of it that a test may break."""
    return arranged.copy(tmp_path / "c")


def changed(
    at: Consortium, /, *sites: str, signer: str = "owner", **fields: Any
) -> Manifest:
    """Another manifest in the place of the first, signed and approved by sites."""
    path, owner = at.root / "manifest.toml", read_identity(at.root / "owner.key")
    manifest = replace(
        split_signed(path.read_bytes()).read(owner.public.verify), **fields
    )
    path.write_bytes(
        sign_manifest(manifest, owner if signer == "owner" else new_identity("owner"))
    )
    for site in sites:
        add_approval(
            at.config(site).parent / APPROVALS,
            Approval(
                split_signed(path.read_bytes()).digest,
                manifest.study,
                owner.public.verify,
                NOW,
            ),
        )
    return manifest


def test_a_manifest_binds_every_file_and_changes_no_number(copied):
    """From release to estimates; the results of the simulation, to 1e-12."""
    digest = split_signed((copied.root / "manifest.toml").read_bytes()).digest
    ended = copied.combine(*copied.sealed(), more=under(copied))
    assert ended.status == 0, ended.err
    for site in SITES:
        assert copied.receive(site, copied.result(site)).status == 0
        assert (copied.inbox(site) / "estimates.json").exists()
    files = [*copied.sealed(), *map(copied.result, SITES)]
    found, theirs = Result.load(copied.root / "run"), Result.load(copied.root / "out")

    assert {read_header(path.read_bytes()).manifest for path in files} == {digest}
    for ours, simulated in zip(found.fixed, theirs.fixed, strict=True):
        assert ours["estimate"] == pytest.approx(simulated["estimate"], rel=1e-12)


def test_a_site_asked_again_under_its_manifest_gives_the_same_bytes(copied):
    """Two files of one answer are one answer."""
    again = copied.root / "again.sealed"
    assert copied.release("a", again, *under(copied)).status == 0

    assert again.read_bytes() == (copied.root / "a.sealed").read_bytes()


def test_a_site_that_requires_a_manifest_answers_no_study_alone(copied):
    """In files as over Flower; nothing is written."""
    out = copied.root / "new.sealed"

    refused(copied.release("a", out), 2, "manifest-refused", "require_manifest = true")
    assert not out.exists()


REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "unapproved": ("manifest-refused", "not approved here", {"name": "other"}),
    "expired": (
        "manifest-expired",
        "expired at",
        {"made": NOW - 9 * DAY, "expires": NOW - DAY},
    ),
    "other owner": ("manifest-refused", "signature by the owner's key", {}),
    "other site": ("manifest-refused", "does not name the site", {"sites": ()}),
    "other coordinator": (
        "manifest-refused",
        "coordinator pinned here",
        {"recipients": (new_identity("coordinator").public,)},
    ),
    "other study": ("study-mismatch", "of the approved manifest", {"study": "0" * 64}),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_manifest_that_does_not_hold_here_is_refused(copied, fault):
    """With the code that it has over Flower; no file is written."""
    code, words, fields = REFUSED[fault]
    if fault == "other site":
        named = changed(copied).sites
        fields = {"sites": tuple(site for site in named if site.name != "a")}
    sites = () if fault == "unapproved" else ("a",)
    signer = "stranger" if fault == "other owner" else "owner"
    changed(copied, *sites, signer=signer, **fields)
    out = copied.root / "new.sealed"

    refused(copied.release("a", out, *under(copied)), 2, code, words)
    assert not out.exists()


def test_other_rows_are_refused_under_a_manifest_too(copied):
    """A second answer from other rows would tell who was added."""
    with (copied.config("a").parent / "data.csv").open("a") as file:
        file.write(small_table().iloc[[0]].to_csv(index=False, header=False))
    out = copied.root / "new.sealed"

    refused(copied.release("a", out, *under(copied)), 2, "data-changed", "has changed")
    assert not out.exists()


def test_a_key_rotated_after_sealing_still_opens_the_files(copied):
    """A hybrid key follows: the same digits, and sites receive from the pinned key."""
    assert copied.combine(*copied.sealed(), more=under(copied)).status == 0
    rotated = fedglmm("keys", "rotate", copied.keys / "coordinator.key", "--hybrid")
    assert rotated.status == 0, rotated.err
    ended = copied.combine(*copied.sealed(), out="after", more=under(copied))
    assert ended.status == 0, ended.err

    assert estimated(copied.root / "after") == estimated(copied.root / "run")
    for site in SITES:
        assert copied.receive(site, copied.result(site, "after")).status == 0


def test_files_of_before_the_end_are_combined_after_it(copied):
    """The sites' clocks have decided; nothing leaves them any more."""
    changed(copied, *SITES, made=NOW - 9 * DAY, expires=NOW - 7 * DAY)
    data = (copied.root / "manifest.toml").read_bytes()
    for site in SITES:
        desk = replace(desk_of(copied.config(site)), clock=lambda: NOW - 8 * DAY)
        key = desk.keys()[1].encrypt_id
        asked = Request(copied.study.canonical_bytes, run_of(FIRST_RUN), key, data)
        (copied.root / f"{site}.sealed").write_bytes(desk.summarise(asked).sealed)
    ended = copied.combine(*copied.sealed(), more=under(copied))

    assert ended.status == 0, ended.err
    assert copied.receive("a", copied.result("a")).status == 0


def test_files_under_a_manifest_are_not_combined_without_it(copied):
    """Nor under another; and a folder that was begun under one stays under it."""
    refused(copied.combine(*copied.sealed()), 2, "exchange-invalid", OTHER_MANIFEST)
    assert not (copied.root / "run").exists()
    ended = copied.combine(*copied.sealed(), more=under(copied))
    assert ended.status == 0, ended.err
    before = (copied.root / "run" / "result.json").read_bytes()
    again = copied.combine(*copied.sealed())
    refused(again, 2, "usage", "holds a run under manifest", "no manifest was given")
    begun = ("coordinator", "combine", copied.root / "run", *under(copied))
    refused(fedglmm(*begun), 2, "usage", "--manifest", "as it was begun")

    assert (copied.root / "run" / "result.json").read_bytes() == before


def test_a_manifest_of_another_study_or_coordinator_combines_nothing(copied):
    """The coordinator looks at it before any file."""
    stranger = new_identity("coordinator").public
    for fields, code in (
        ({"study": "0" * 64}, "study-mismatch"),
        ({"study": copied.study.digest, "recipients": (stranger,)}, "manifest-refused"),
    ):
        changed(copied, **fields)
        ended = copied.combine(*copied.sealed(), more=under(copied))

        refused(ended, 2, code)
        assert not (copied.root / "run").exists()
