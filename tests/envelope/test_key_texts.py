"""What a key file may hold: everything else is refused in words."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fedglmm_flower.envelope import (
    read_identity,
    read_public,
    write_identity,
    write_public,
)
from fedglmm_flower.errors import KeyFileError


def blocks(text):
    """Header line and the two PEM blocks of an identity file."""
    header, _, rest = text.partition("\n")
    end = rest.index("-----END PRIVATE KEY-----\n") + len("-----END PRIVATE KEY-----\n")
    return header + "\n", rest[:end], rest[end:]


def foreign():
    """A PEM block of another key type."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda h, x, e: "",
        lambda h, x, e: h,
        lambda h, x, e: h + x,
        lambda h, x, e: h + e,
        lambda h, x, e: x + e,
        lambda h, x, e: h + e + x,
        lambda h, x, e: h + x + x,
        lambda h, x, e: h + x + e + e,
        lambda h, x, e: h + x + e[:-2],
        lambda h, x, e: h + x[:40] + x[60:] + e,
        lambda h, x, e: h + foreign() + e,
        lambda h, x, e: h + x + foreign(),
        lambda h, x, e: h + x + e + "\n",
        lambda h, x, e: "# fedglmm-identity/2 " + h.split(" ", 2)[2] + x + e,
        lambda h, x, e: h.replace(",", ", ", 1) + x + e,
        lambda h, x, e: h.replace("null", '"00"') + x + e,
        lambda h, x, e: h.replace("null", "0") + x + e,
        lambda h, x, e: '# fedglmm-identity/1 {"name":"","salt":null}\n' + x + e,
        lambda h, x, e: '# fedglmm-identity/1 {"salt":null}\n' + x + e,
        lambda h, x, e: "# fedglmm-identity/1 []\n" + x + e,
        lambda h, x, e: h + (x + e).replace("PRIVATE", "ENCRYPTED PRIVATE"),
        lambda h, x, e: "\0" * 16385,
        lambda h, x, e: "\udcff" + h + x + e,
    ],
)
def test_a_damaged_identity_file_is_refused(identity, path, damage):
    """Truncated, reordered, foreign and altered files are refused in words."""
    write_identity(identity, path)
    damaged = damage(*blocks(path.read_text(encoding="utf-8")))
    path.write_text(damaged, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(KeyFileError) as refused:
        read_identity(path)
    assert refused.value.detail.startswith(f"key file {str(path)!r}: ")
    assert refused.value.detail.count("; ") >= 2


def respelled(text):
    """The same key with another last character, whose spare bits are ignored."""
    at = text.index('="\nverify') - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[:at] + alphabet[alphabet.index(text[at]) + 1] + text[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        respelled,
        lambda t: "",
        lambda t: t[: len(t) // 2],
        lambda t: t.replace("fedglmm-public/1", "fedglmm-public/2"),
        lambda t: t.replace('format = "fedglmm-public/1"\n', ""),
        lambda t: t.replace('"fedglmm-public/1"', "1"),
        lambda t: t + "more = 1\n",
        lambda t: t + t,
        lambda t: t.replace('="\nverify', '"\nverify'),
        lambda t: t.replace('encrypt = "', 'encrypt = " '),
        lambda t: t.replace('encrypt = "', 'encrypt = "AAAA'),
        lambda t: t.replace('encrypt = "', 'encrypt = ""\n# "'),
        lambda t: t.replace('verify = "', 'verify = 7 # "'),
        lambda t: t.replace('name = "', 'name = "" # "'),
        lambda t: t.replace('name = "', 'name = "\\n'),
        lambda t: "-----BEGIN PUBLIC KEY-----\n",
        lambda t: "x = " + "[" * 8000,
        lambda t: "\udcff" + t,
        lambda t: t + "#" * 16384,
    ],
)
def test_a_damaged_public_file_is_refused(identity, path, damage):
    """Only the four lines, each of its form, are a public file."""
    write_public(identity.public, path)
    text = damage(path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(KeyFileError) as refused:
        read_public(path)
    assert refused.value.detail.startswith(f"key file {str(path)!r}: ")
    assert refused.value.detail.count("; ") >= 2
