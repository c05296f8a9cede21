"""Why a sealed message was refused, as a value that a program can act on."""

from enum import Enum

from fedglmm_flower.errors import EnvelopeError


class Reason(Enum):
    """
    The one reason for which a sealed message was refused; holds no data.

    Each member's value is a sentence; the error's own text adds what was found.
    """

    NOT_AN_ENVELOPE = "the bytes are no sealed message of fedglmm-flower"
    VERSION = "the message was sealed by an incompatible version"
    TRUNCATED = "the end of the message is missing"
    TOO_LARGE = "the message is larger than is accepted"
    OTHER_KIND = "the message is of another kind: a release for a result, or reverse"
    OTHER_STUDY = "the message belongs to another study"
    OTHER_RUN = "the message belongs to another run, or is replayed from one"
    OTHER_MANIFEST = "the message belongs to another manifest, or to none"
    OTHER_SITE = "the message is from or for another site"
    OTHER_RECIPIENT = "the message is sealed to another key"
    OTHER_SUITE = "the message is sealed in another suite than the key's"
    OTHER_SENDER = "the message claims to be from another key than the pinned one"
    ALTERED = "the message was changed after it was sealed"
    BAD_SIGNATURE = "the message was not signed by the key that it names"


class EnvelopeRefusedError(EnvelopeError):
    """
    A sealed message was refused for one reason.

    Parameters
    ----------
    reason : Reason
        Which of the checks failed.
    detail : str
        The local message: what was found; what is required; what to do.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> tuple[type["EnvelopeRefusedError"], tuple[Reason, str]]:
        """Survive the trip between processes, as the base class does."""
        return (type(self), (self.reason, self.detail))
