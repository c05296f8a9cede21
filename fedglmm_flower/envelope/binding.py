"""What a sealed message is bound to: opened anywhere else, it is refused."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fedglmm_flower.envelope.names import MAX_NAME, is_digest, name_fault
from fedglmm_flower.errors import UsageError

Kind: TypeAlias = Literal["release", "result", "point", "score"]
KINDS: Final = ("release", "result", "point", "score")


@dataclass(frozen=True)
class Binding:
    """
    The place of one message in the exchange.

    Leaves the site: all five travel in clear beside the sealed message, so none may
    hold data.

    Parameters
    ----------
    kind : {"release", "result", "point", "score"}
        A site's release and the coordinator's result; in further rounds, the point
        that the coordinator asks at and the site's score there.
    study_digest : str
        SHA-256 of the study's canonical bytes, 64 lower-case hex digits.
    run_id : str
        Name of the run, single use: a message of one run is refused in another.
    site : str
        The site that sends the release or receives the result.
    manifest : str, optional
        Digest of the study's manifest, under which the exchange runs; None without one.

    Raises
    ------
    UsageError
        If a field is not of its form.
    """

    kind: Kind
    study_digest: str
    run_id: str
    site: str
    manifest: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = (
                f"binding, kind: another kind was found; one of {', '.join(KINDS)} is "
                "required; correct the call"
            )
            raise UsageError(msg)
        if not is_digest(self.study_digest):
            msg = (
                "binding, study_digest: no digest was found; 64 lower-case hex digits "
                "are required; use the digest of the study"
            )
            raise UsageError(msg)
        if self.manifest is not None and not is_digest(self.manifest):
            msg = (
                "binding, manifest: no digest was found; 64 lower-case hex digits, or "
                "none at all, are required; use the digest of the manifest"
            )
            raise UsageError(msg)
        for field, value in (("run_id", self.run_id), ("site", self.site)):
            fault = name_fault(value)
            if fault is not None:
                msg = (
                    f"binding, {field}: {fault} was found; 1 to {MAX_NAME} characters "
                    "without control characters are required; choose another name"
                )
                raise UsageError(msg)
