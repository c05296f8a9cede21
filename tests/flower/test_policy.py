"""A node under a policy that must be signed, and under one that asks for sites."""

from datetime import UTC, datetime

import pytest

from fedglmm_flower.envelope import read_identity
from fedglmm_flower.envelope.policy_versions import POLICY_VERSIONS, sign_version
from fedglmm_flower.errors import PolicyError, StudyMismatchError
from fedglmm_flower.flower.exchange import Request
from fedglmm_flower.flower.site_desk import desk_of
from fedglmm_flower.site import read_site_config
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
