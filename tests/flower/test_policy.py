"""A node under a policy that must be signed, and under one that asks for sites."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fedglmm_flower.envelope import read_identity
from fedglmm_flower.envelope.policy_versions import POLICY_VERSIONS, sign_version
from fedglmm_flower.errors import PolicyError, StorageError, StudyMismatchError
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Request
from fedglmm_flower.flower.policy_in_force import policy_in_force
from fedglmm_flower.site import read_site_config
from fedglmm_flower.study import write_study
from tests.command import fedglmm

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def ask(federation):
    """A request of the federation's study at one of its sites."""
    key = federation.identity.public.encrypt_id
    request = Request(federation.study.canonical_bytes, "run", key)
    return desk_of(federation.site_file("east")).summarise(request)


def sign(federation):
    """What the command does, with the site's key as it lies there."""
    path = federation.site_file("east")
    config = read_site_config(path)
    signer = read_identity(config.identity_path)
    return sign_version(path.parent / POLICY_VERSIONS, config.digest, signer, NOW)


def test_a_changed_policy_waits_for_its_signature(federation):
    """One threshold less, a comment, a study more: refused until the officer signs."""
    path = federation.site_file("east")
    assert ask(federation).site == "east"  # never signed, and not said to be
    sign(federation)
    assert ask(federation).site == "east"
    signed = path.read_text()
    for change in ("[disclosure]\nmin_cell = 3\n", "# nothing\n"):
        path.write_text(signed + change)
        with pytest.raises(PolicyError, match="not as it was signed") as refused:
            ask(federation)
        assert refused.value.public == "the site's configuration is not valid"
        assert "\n" not in refused.value.detail
    assert sign(federation).number == 2
    assert ask(federation).site == "east"


def test_a_policy_that_must_be_signed_is_none_before(federation):
    """A site that was set up and not yet signed answers nothing."""
    path = federation.site_file("east")
    path.write_text(path.read_text() + "[policy]\nsigned = true\n")
    with pytest.raises(PolicyError, match="is not signed"):
        ask(federation)
    sign(federation)

    assert ask(federation).site == "east"


def test_a_policy_that_was_set_back_is_not_in_force(federation):
    """By one version or by two, with its signatures, or with none and none asked."""
    path = federation.site_file("east")
    versions = path.parent / POLICY_VERSIONS
    before = []
    for least in (9, 7, 5):
        text = path.read_text().split("[disclosure]")[0]
        path.write_text(text + f"[disclosure]\nmin_cell = {least}\n")
        sign(federation)
        assert ask(federation).site == "east"
        before.append((path.read_bytes(), versions.read_bytes()))
    for policy, signed in before[:2]:
        path.write_bytes(policy)
        versions.write_bytes(signed)
        refused = r"version 3 of the policy was in force"
        with pytest.raises(PolicyError, match=refused):
            ask(federation)
    versions.unlink()
    path.write_text(path.read_text() + "[policy]\nsigned = false\n")
    with pytest.raises(PolicyError, match=refused):
        ask(federation)
    asked = federation.root / "asked.toml"
    write_study(federation.study, asked)
    for act in ("sign-policy", "preview"):
        study = ("--study", asked) * (act == "preview")
        ended = fedglmm("site", act, path, *study)
        assert "version 3 of the policy was in force" in ended.err + ended.out
    assert not versions.exists()

    path.write_bytes(before[2][0])
    versions.write_bytes(before[2][1])
    assert ask(federation).site == "east"


def test_a_signature_of_nobody_puts_nothing_in_force(federation):
    """Forged in the file, in the version or in the chain before it."""
    path = federation.site_file("east")
    versions = path.parent / POLICY_VERSIONS
    sign(federation)
    text = path.read_text() + "# a change\n"
    path.write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    signed = versions.read_text()
    old = re.search('policy = "([0-9a-f]{64})"', signed)
    assert old
    entry = signed[signed.index("[[version]]") :]
    later = entry.replace("number = 1", "number = 2").replace(old[1], digest)
    for forged in (signed.replace(old[1], digest), signed + "\n" + later):
        versions.write_text(forged)
        with pytest.raises(PolicyError):
            ask(federation)


def test_a_memory_that_is_gone_is_missed(federation):
    """Removed, or looked for where none is: what was answered must be known."""
    path = federation.site_file("east")
    assert ask(federation).site == "east"
    text = path.read_text()
    path.write_text(text.replace("[data]", 'snapshots = "elsewhere"\n[data]', 1))
    with pytest.raises(StorageError, match="is missing, and"):
        ask(federation)
    path.write_text(text)
    (path.parent / "snapshots" / "memory.sqlite").unlink()
    with pytest.raises(StorageError, match="is missing, and"):
        ask(federation)


def test_a_policy_ends_with_its_last_day(federation):
    """By the site's clock; the next one is a version of its own."""
    path = federation.site_file("east")
    text = path.read_text() + "[policy]\nsigned = true\nexpires = 2026-11-30\n"
    path.write_text(text)
    sign(federation)
    request = Request(
        federation.study.canonical_bytes, "run", federation.identity.public.encrypt_id
    )

    def at(day):
        clock = datetime(2026, 11, day, 23, 59, tzinfo=UTC)
        return replace(desk_of(path), clock=lambda: clock).summarise(request)

    def preview():
        asked = federation.root / "asked.toml"
        write_study(federation.study, asked)
        return fedglmm("site", "preview", path, "--study", asked).out

    assert at(30).site == "east"
    path.write_text(text.replace("11-30", "11-20"))
    sign(federation)
    with pytest.raises(PolicyError, match="expired after 2026-11-20"):
        at(21)
    assert "expired after 2026-11-20: nothing is sent" in preview()
    path.write_text(text.replace("2026-11", "2020-11"))
    code, detail = fedglmm("site", "sign-policy", path).line
    assert code == "policy-invalid"
    assert "'expires' of [policy] is 2020-11-30" in detail
    path.write_text(text.replace("2026-11", "9999-11"))
    sign(federation)
    assert at(21).site == "east"
    assert "policy: version 3, signed" in preview()
    assert "until 9999-11-30" in preview()


def test_a_clock_that_was_set_back_keeps_no_policy_in_force(federation):
    """One of before the signature is wrong; of one that went ahead, sign again."""
    path = federation.site_file("east")
    path.write_text(path.read_text() + "[policy]\nexpires = 2026-11-30\n")
    sign(federation)
    identity = read_identity(read_site_config(path).identity_path)

    def at(day, year=2026):
        now = datetime(year, 11, day, tzinfo=UTC)
        config = read_site_config(path)
        return policy_in_force(path, config, identity.public, now)

    assert at(20).number == 1
    for day, year in ((19, 2026), (25, 2025)):
        with pytest.raises(PolicyError, match="was signed at 2026-11-21T00:00:00Z"):
            at(day, year)
    earlier = datetime(2026, 11, 1, tzinfo=UTC)
    config = read_site_config(path)
    versions = path.parent / POLICY_VERSIONS
    assert sign_version(versions, config.digest, identity, earlier).number == 2
    assert at(1).number == 2


def test_the_key_of_another_signs_no_policy(federation):
    """The command looks at whose key it is, and the node at whose signature."""
    path = federation.site_file("east")
    text = path.read_text()
    path.write_text(text.replace('site = "east"', 'site = "west"'))
    ended = fedglmm("site", "sign-policy", path)

    assert ended.line[0] == "policy-invalid"
    assert not (path.parent / POLICY_VERSIONS).exists()
    path.write_text(text)
    assert (
        "version 1 of the policy was signed,"
        in fedglmm("site", "sign-policy", path).out
    )
    again = fedglmm("site", "sign-policy", path)
    assert "version 1 of the policy was signed before" in again.out
    name = next(site for site in federation.study.sites if site != "east")
    other = federation.site_file(name).parent / "site.key"
    (path.parent / "site.key").write_bytes(other.read_bytes())
    with pytest.raises(PolicyError, match="this site's key did not sign"):
        ask(federation)


def test_a_study_of_too_few_sites_is_not_answered(federation):
    """Each of two sites tells the other's estimate by subtraction."""
    path, least = federation.site_file("east"), len(federation.study.sites)
    text = path.read_text()
    path.write_text(text + f"[disclosure]\nmin_sites = {least}\n")
    assert ask(federation).site == "east"
    path.write_text(text + f"[disclosure]\nmin_sites = {least + 1}\n")
    with pytest.raises(StudyMismatchError, match=f"at least {least + 1} are required"):
        ask(federation)
