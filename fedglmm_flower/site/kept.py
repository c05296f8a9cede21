"""A site's records vouch for each other: one that was set back is told by the next.

The store of answers is written last.  It therefore notes how far the memory and the
ledger had come, and neither may be found behind it.
"""

from typing import Final

from fedglmm_flower.errors import StorageError
from fedglmm_flower.site.answers import AnswerStore
from fedglmm_flower.site.ledger import Ledger
from fedglmm_flower.site.memory import SiteMemory

_MEMORY: Final = "memory"
_LEDGER: Final = "ledger"


def require_memory(memory: SiteMemory, answers: AnswerStore) -> None:
    """
    Refuse a memory that is missing, older than the answers, or of another site.

    Raises
    ------
    StorageError
        If it is, or if one of the two cannot be read.
    """
    noted = answers.noted(_MEMORY)
    if noted is None:
        return
    found = memory.extent()
    if found is None:
        raise StorageError(
            f"{memory.path}: is missing, and {answers.path} holds answers; what they "
            "were of, and which policy was in force, must be known; restore it from a "
            "backup, or correct 'snapshots' in site.toml"
        )
    if found[0] < noted[0] or found[1] != noted[1]:
        fault = (
            f"holds {found[0]} entries, and had {noted[0]}"
            if found[1] == noted[1]
            else "is another one than"
        )
        raise StorageError(
            f"{memory.path}: {fault} when {answers.path} was written; the latest is "
            "required, for what was answered must be known; restore it, from a backup "
            "that is as new"
        )


def require_ledger(ledger: Ledger, answers: AnswerStore) -> None:
    """
    Refuse a ledger that is missing, or was set back with its ``.head`` file.

    Raises
    ------
    LedgerError
        If it lacks the entry that was last when an answer was kept.
    StorageError
        If the answers cannot be read.
    """
    noted = answers.noted(_LEDGER)
    if noted is not None:
        ledger.require_entry(*noted, answers.path)


def note_memory(memory: SiteMemory, answers: AnswerStore) -> None:
    """Note how far the memory has come, before anything leaves."""
    memory.key()  # so that it is known by its secret from now on
    extent = memory.extent()
    if extent is not None:
        answers.note(_MEMORY, *extent)


def note_ledger(ledger: Ledger, answers: AnswerStore) -> None:
    """Note the ledger's last entry, before anything leaves."""
    answers.note(_LEDGER, *ledger.last())
