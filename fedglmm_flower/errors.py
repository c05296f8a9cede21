"""Every exception of the package: what may be said outside, and what stays local.

Each class carries a fixed ``code``, a data-free ``public`` sentence and the exit
status of the command that meets it.  Only ``code`` and ``public`` may leave a site;
``str(error)`` is the local message: *where: what was found; what is required; what
to do*.
"""

from typing import ClassVar


class FedglmmError(Exception):
    """
    Base of every error a user can cause.

    Parameters
    ----------
    detail : str
        The local message.  It may quote file names, column names and values, so it
        never crosses the wire.

    Attributes
    ----------
    code : str
        Fixed kebab-case name of the failure; may cross the wire.
    public : str
        Data-free sentence; may cross the wire.
    exit_status : int
        Exit status of ``fedglmm`` when this error ends a command.
    """

    code: ClassVar[str] = "failed"
    public: ClassVar[str] = "the request could not be carried out"
    exit_status: ClassVar[int] = 2

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UsageError(FedglmmError):
    """A command or a function was called with arguments that do not fit."""

    code = "usage"
    public = "the request was not well formed"


class StudyError(FedglmmError):
    """A study file is malformed or contradicts itself."""

    code = "study-invalid"
    public = "the study definition is not valid"


class FormulaError(StudyError):
    """A formula cannot be read, or asks for something that is not supported."""

    code = "formula-invalid"
    public = "the model formula is not valid or not supported"


class StudyMismatchError(FedglmmError):
    """The study that was asked is not the one that was approved or expected."""

    code = "study-mismatch"
    public = "the study differs from the one that this party approved"


class ManifestError(FedglmmError):
    """A study's manifest is malformed, or is not the one that was approved."""

    code = "manifest-refused"
    public = "the study's manifest was refused"


class ManifestExpiredError(ManifestError):
    """A manifest is used outside its time, by the clock of who was asked."""

    code = "manifest-expired"
    public = "the study's manifest has expired, or a clock is wrong"


class DataError(FedglmmError):
    """A table does not agree with the study."""

    code = "data-invalid"
    public = "the site's table does not agree with the study definition"


class EmptySiteError(DataError):
    """A site has no complete row."""

    code = "site-empty"
    public = "the site has no complete rows"
    exit_status = 3


class SnapshotError(FedglmmError):
    """A table is not the one that a study was answered from before."""

    code = "data-changed"
    public = "the site's table is not the one that it first answered this study from"


class AbsentSiteError(FedglmmError):
    """A site that is expected takes no part: in a simulation, it has no row."""

    code = "site-missing"
    public = "the site did not answer"


class DisclosureError(FedglmmError):
    """The site's disclosure policy refused the summary."""

    code = "disclosure-refused"
    public = "this site's disclosure policy refused the summary"
    exit_status = 3


class PolicyError(FedglmmError):
    """A site's policy file is malformed."""

    code = "policy-invalid"
    public = "the site's configuration is not valid"


class StorageError(FedglmmError):
    """A file cannot be written, or exists and may not be replaced."""

    code = "storage-failed"
    public = "a file could not be written"


class LedgerError(FedglmmError):
    """The privacy ledger is damaged, was set back, or cannot be written."""

    code = "ledger-invalid"
    public = "the site's privacy ledger cannot be used"


class BudgetError(FedglmmError):
    """A release would cost more than is left of the dataset's privacy budget."""

    code = "budget-exceeded"
    public = "the site's privacy budget does not allow this release"


class KeyFileError(FedglmmError):
    """A key file is missing, unreadable, foreign or not protected."""

    code = "key-invalid"
    public = "a key file is missing or not usable"


class WireError(FedglmmError):
    """Bytes are not the canonical encoding of a release or a result."""

    code = "wire-invalid"
    public = "a message was not in the expected format"


class EnvelopeError(FedglmmError):
    """A sealed message is not for this party, this study, this run, or was altered."""

    code = "envelope-invalid"
    public = "a sealed message was refused"


class ExchangeError(FedglmmError):
    """The parties that answered are not those of the study, or broke the protocol."""

    code = "exchange-invalid"
    public = "the exchange did not follow the protocol"


class FitError(FedglmmError):
    """The model cannot be fitted to these data."""

    code = "fit-impossible"
    public = "the model could not be fitted"


class AllRefusedError(FedglmmError):
    """Every site refused."""

    code = "all-refused"
    public = "every site refused the request"
    exit_status = 3


class QuorumError(FedglmmError):
    """Fewer sites answered than the run requires."""

    code = "quorum-not-reached"
    public = "not enough sites answered"
    exit_status = 5
