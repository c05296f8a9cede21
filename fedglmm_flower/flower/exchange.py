"""What is said in the one round, whatever carries it."""

from collections.abc import Callable
from dataclasses import dataclass

from fedglmm_flower.errors import FedglmmError


@dataclass(frozen=True)
class Request:
    """
    What the coordinator asks of a site.  In clear: holds no data.

    Parameters
    ----------
    study : bytes
        Canonical bytes of the study.
    run_id : str
        Name of this run; single use.
    coordinator_key : str
        Identifier of the key that the answer is sealed to.
    manifest : bytes
        The study's signed manifest; empty without one.
    """

    study: bytes
    run_id: str
    coordinator_key: str
    manifest: bytes = b""


@dataclass(frozen=True)
class ScoreRequest:
    """
    What the coordinator asks of a site in a further round.

    Parameters
    ----------
    request : Request
        Study, run and keys as in the first round.
    sealed : bytes
        The point, sealed to the site: it holds estimates.
    """

    request: Request
    sealed: bytes


@dataclass(frozen=True)
class SealedRelease:
    """
    A site's answer: its release, or its score, sealed to the coordinator.

    Parameters
    ----------
    site : str
        Name that the site gives itself; proved only when the envelope is opened.
    sealed : bytes
        The sealed release.
    """

    site: str
    sealed: bytes


@dataclass(frozen=True)
class Delivery:
    """
    The final estimates, sealed to one site.

    Parameters
    ----------
    study_digest, run_id : str
        What the result belongs to.
    sealed : bytes
        The sealed result.
    """

    study_digest: str
    run_id: str
    sealed: bytes


@dataclass(frozen=True)
class Admitted:
    """
    A sealed release that is proved to be of a site, for this study and run.

    Parameters
    ----------
    site : str
        The site.
    content : str
        SHA-256 of what was sealed: equal for a release that is sent again.
    """

    site: str
    content: str


@dataclass(frozen=True)
class Received:
    """A site has stored the estimates."""

    site: str


@dataclass(frozen=True)
class Refused:
    """
    A site did not do what was asked.

    Parameters
    ----------
    site : str or None
        The site, if it could tell its name.
    code, public : str
        Fixed name and data-free sentence of the reason.
    """

    site: str | None
    code: str
    public: str


Reply = SealedRelease | Received | Refused

Tick = Callable[[str, int, int], None]
"""Told of every step: its stage, how many are done, of how many."""

UNREADABLE = Refused(None, "reply-invalid", "the site's reply was not understood")
MISSING = Refused(None, "site-missing", "the site did not answer in time")


def refusal(error: BaseException, site: str | None) -> Refused:
    """
    What may be said of an error outside the site: its class's own two sentences.

    Parameters
    ----------
    error : BaseException
        What was raised.  Its message, arguments and traceback are not looked at.
    site : str or None
        The site, if known.

    Returns
    -------
    Refused
        Code and public sentence of a ``FedglmmError``; fixed ones for anything else.
    """
    known = type(error) if isinstance(error, FedglmmError) else FedglmmError
    return Refused(site, known.code, known.public)


def no_tick(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
