"""The study manifest: one spelling, one signature, and a time."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from fedglmm_flower.envelope import Identity, Manifest, sign_manifest, split_signed
from fedglmm_flower.envelope.encryption import HYBRID, PLAIN
from fedglmm_flower.envelope.manifest_text import SIGN_LABEL, manifest_text
from fedglmm_flower.errors import ManifestError, ManifestExpiredError

MADE = datetime(2026, 11, 21, 13, tzinfo=UTC)
EXPIRES = datetime(2027, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def manifest(coordinator, site, stranger) -> Manifest:
    """Two sites, a coordinator and two demands."""
    return Manifest(
        name='icu "2026" Zürich',
        study="0123456789abcdef" * 4,
        made=MADE,
        expires=EXPIRES,
        demands=(("dominance_one", 0.4), ("enabled", True), ("min_cell", 10)),
        recipients=(coordinator.public,),
        sites=(site.public, stranger.public),
    )


def sign_manifest_of(body: bytes, owner: Identity) -> bytes:
    """Any text under a good signature, the form of the file spelled by hand."""
    key = base64.b64encode(owner.public.verify).decode()
    value = base64.b64encode(owner.signing_key.sign(SIGN_LABEL + body)).decode()
    return body + f'[signature]\nowner = "{key}"\nvalue = "{value}"\n'.encode()


def test_a_manifest_is_read_as_it_was_signed(manifest, stranger):
    """Signing and reading are inverse, and the documented form suffices to sign."""
    data = sign_manifest(manifest, stranger)
    signed = split_signed(data)

    assert signed.read(stranger.public.verify) == manifest
    assert signed.body == manifest_text(manifest)
    assert data == sign_manifest_of(signed.body, stranger)


def test_the_digest_is_of_the_text_and_not_of_the_signature(
    manifest, stranger, coordinator
):
    """What was approved is the text; who signed it is approved beside it."""
    first, second = (
        split_signed(sign_manifest(manifest, owner))
        for owner in (stranger, coordinator)
    )

    assert first.digest == second.digest
    assert first.owner != second.owner


def test_a_manifest_of_another_owner_is_refused(manifest, stranger, coordinator):
    """The key that counts is the one known here, never the file's claim."""
    signed = split_signed(sign_manifest(manifest, stranger))

    with pytest.raises(ManifestError, match="signature by the owner's key"):
        signed.read(coordinator.public.verify)
    claimed = replace(signed, owner=coordinator.public.verify)
    with pytest.raises(ManifestError, match="does not fit the text"):
        claimed.read(coordinator.public.verify)


def test_a_change_of_any_one_byte_is_refused(manifest, stranger):
    """Every byte of the file counts."""
    data = bytearray(sign_manifest(manifest, stranger))
    read = []
    for at in range(len(data)):
        data[at] ^= 1
        try:
            split_signed(bytes(data)).read(stranger.public.verify)
        except ManifestError:
            pass
        else:
            read.append(at)
        data[at] ^= 1

    assert read == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"fedglmm-manifest/1", b"fedglmm-manifest/2"),
        (b'study = "0', b'study = "X'),
        (b"min_cell = 10", b"min_cell = 1_0"),
        (b"min_cell = 10", b"min_cell = 10 # ten"),
        (b"min_cell = 10", b'min_cell = "10"'),
        (b"min_cell = 10", b"min_cell = inf"),
        (b"min_cell = 10", b"a_cell = 10"),
        (b"enabled = true", b"enabled = [true]"),
        (b"expires = 2027-06-30T00:00:00Z", b"expires = 2027-06-30"),
        (b"expires = 2027-06-30T00:00:00Z", b"expires = 2027-06-30T00:00:00"),
        (b"expires = 2027-06-30T00:00:00Z", b"expires = 2027-06-30T01:00:00+01:00"),
        (b"expires = 2027-06-30T00:00:00Z", b"expires = 2026-06-30T00:00:00Z"),
        (b"expires = 2027-06-30T00:00:00Z", b"expires = 1"),
        (b"[demands]", b"[demand]"),
        (b"[[recipient]]", b"[[site]]"),
        (b'name = "site a"', b'name = "site b"'),
        (b'name = "site a"', b'name = "site c"'),
        (b'name = "site a"', b"name = 1"),
        (b'encrypt = "', b'encrypt = " '),
        (b"verify = ", b"other = "),
        (b"encrypt = ", f'suite = "{HYBRID}"\nencrypt = '.encode()),
        (b"encrypt = ", f'suite = "{PLAIN}"\nencrypt = '.encode()),
        (b"encrypt = ", b"suite = 1\nencrypt = "),
        (b"format", b"\xff"),
        (b"format = ", b"format = ="),
        (b"\n\n[demands]", b"\nmore = 1\n\n[demands]"),
    ],
)
def test_a_signed_text_that_is_no_manifest_is_refused(manifest, stranger, old, new):
    """A signature makes no sense of nonsense, and one content has one spelling."""
    body = manifest_text(manifest)
    assert old in body
    data = sign_manifest_of(body.replace(old, new, 1), stranger)

    with pytest.raises(ManifestError, match="required"):
        split_signed(data).read(stranger.public.verify)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data[:-20],
        lambda data: data.replace(b"owner", b"other"),
        lambda data: b" " * 2**20 + data,
    ],
)
def test_a_file_without_a_signature_is_refused(manifest, stranger, spoil):
    """Truncated, extended and overlong files are no manifests."""
    with pytest.raises(ManifestError, match="study sign"):
        split_signed(spoil(sign_manifest(manifest, stranger)))


@pytest.mark.parametrize("now", [MADE, MADE - DAY, EXPIRES - SECOND, EXPIRES - DAY])
def test_a_clock_up_to_a_day_slow_is_borne(manifest, now):
    """From a day before it was made until it expires, by the clock that asks."""
    manifest.check_time(now)


@pytest.mark.parametrize(
    ("now", "here", "there"),
    [
        (EXPIRES, "2027-06-30T00:00:00Z", "2027-06-30T00:00:00Z"),
        (EXPIRES + DAY, "2027-07-01T00:00:00Z", "2027-06-30T00:00:00Z"),
        (MADE - DAY - SECOND, "2026-11-20T12:59:59Z", "2026-11-21T13:00:00Z"),
    ],
)
def test_outside_its_time_both_times_are_told(manifest, now, here, there):
    """Whoever reads the error sees whether the manifest or the clock is wrong."""
    with pytest.raises(ManifestExpiredError) as refused:
        manifest.check_time(now)

    assert f"at {there} and the clock here says {here}" in refused.value.detail


def test_a_time_of_another_zone_is_the_same_time(manifest):
    """Zones are read, not ignored."""
    east = timezone(timedelta(hours=5))

    with pytest.raises(ManifestExpiredError, match="says 2027-06-30T00:00:00Z"):
        manifest.check_time(EXPIRES.astimezone(east))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a\nb"},
        {"study": "0"},
        {"made": MADE.replace(tzinfo=None)},
        {"made": MADE.replace(microsecond=1)},
        {"expires": MADE},
        {"demands": (("b", 1), ("a", 1))},
        {"demands": (("min-cell", 1),)},
        {"recipients": ()},
        {"sites": ()},
    ],
    ids=str,
)
def test_a_manifest_of_another_form_is_not_made(manifest, change):
    """What an owner could write by mistake is refused before it is signed."""
    with pytest.raises(ManifestError, match=r"manifest, .+ found; .+ required; "):
        replace(manifest, **change)


def test_two_sites_share_no_key(manifest, site):
    """One key for two names would let one site speak for the other."""
    twin = replace(site.public, name="site b")

    with pytest.raises(ManifestError, match="one key for two sites"):
        replace(manifest, sites=(site.public, twin))
