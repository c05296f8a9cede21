"""How a message travels: canonical bytes, sealed, signed, and bound to its place."""

from fedglmm_flower.envelope.binding import Binding
from fedglmm_flower.envelope.framing import Header
from fedglmm_flower.envelope.key_files import (
    read_identity,
    read_public,
    write_identity,
    write_public,
)
from fedglmm_flower.envelope.keys import Identity, PublicIdentity, new_identity
from fedglmm_flower.envelope.manifest import Manifest
from fedglmm_flower.envelope.manifest_text import (
    SignedManifest,
    sign_manifest,
    split_signed,
)
from fedglmm_flower.envelope.refusal import EnvelopeRefusedError, Reason
from fedglmm_flower.envelope.release_codec import decode_release, encode_release
from fedglmm_flower.envelope.result_codec import decode_result, encode_result
from fedglmm_flower.envelope.score_codec import (
    decode_point,
    decode_score,
    encode_point,
    encode_score,
)
from fedglmm_flower.envelope.sealing import MAX_SEALED, read_header, seal, unseal

__all__ = [
    "MAX_SEALED",
    "Binding",
    "EnvelopeRefusedError",
    "Header",
    "Identity",
    "Manifest",
    "PublicIdentity",
    "Reason",
    "SignedManifest",
    "decode_point",
    "decode_release",
    "decode_result",
    "decode_score",
    "encode_point",
    "encode_release",
    "encode_result",
    "encode_score",
    "new_identity",
    "read_header",
    "read_identity",
    "read_public",
    "seal",
    "sign_manifest",
    "split_signed",
    "unseal",
    "write_identity",
    "write_public",
]
