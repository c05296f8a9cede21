"""A site's side without any server: a sealed file out, a sealed file in."""

from pathlib import Path
from typing import Final

from fedglmm_flower.envelope import MAX_SEALED, read_header
from fedglmm_flower.envelope.passphrase import Ask, ambient_passphrase
from fedglmm_flower.errors import DataError, EnvelopeError, StorageError
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Delivery, Request
from fedglmm_flower.flower.own_manifest import read_manifest_file
from fedglmm_flower.study import read_study
from fedglmm_flower.study.whole_file import write_new

FIRST_RUN: Final = "1"
_FILES: Final = "files:"


def run_of(label: str) -> str:
    """
    The run that messages in files are bound to: the coordinator's label for it.

    Never that of a run over Flower, whose names are random: what was sealed for one
    way is refused on the other.

    Examples
    --------
    >>> run_of("autumn")
    'files:autumn'
    """
    return f"{_FILES}{label}"


def release_to_file(
    config: Path,
    study: Path,
    out: Path,
    run: str = FIRST_RUN,
    *,
    manifest: Path | None = None,
    ask: Ask = ambient_passphrase,
) -> tuple[str, int]:
    """
    Answer a study with a file instead of a message.

    Leaves the site, once somebody carries it: the sealed release in ``out``, which
    the pinned coordinator alone can open.

    Parameters
    ----------
    config : Path
        ``site.toml``.
    study : Path
        ``study.toml``, which the site has approved, alone or under a manifest.
    out : Path
        A file that does not exist.
    run : str
        The coordinator's label for this collection of files.
    manifest : Path or None
        The study's signed manifest; None to answer without one.
    ask : callable
        Gives the passphrase of a key file; from the environment when left out.

    Returns
    -------
    site : str
        Name of the site.
    size : int
        Bytes of the file.

    Raises
    ------
    StorageError
        If ``out`` exists or cannot be written.
    FedglmmError
        If the manifest cannot be read; as :meth:`SiteDesk.summarise`.
    """
    asked = read_study(study)
    desk = desk_of(config, ask)
    if out.exists():
        raise StorageError(
            f"{out}: exists; a new name is required, for a release is never "
            "overwritten; choose another name, or move the file away"
        )
    signed = b"" if manifest is None else read_manifest_file(manifest)
    _, coordinator = desk.keys()
    answer = desk.summarise(
        Request(asked.canonical_bytes, run_of(run), coordinator.encrypt_id, signed)
    )
    write_new(out, answer.sealed)
    return answer.site, len(answer.sealed)


def receive_file(config: Path, result: Path, *, ask: Ask = ambient_passphrase) -> Path:
    """
    Open a sealed result that came as a file, and store the estimates.

    Parameters
    ----------
    config : Path
        ``site.toml``.
    result : Path
        ``SITE.sealed`` of the coordinator's ``results/``, of a run over Flower or in
        files.
    ask : callable
        Gives the passphrase of a key file; from the environment when left out.

    Returns
    -------
    Path
        The folder that holds ``estimates.json`` and ``fit_check.json`` now.

    Raises
    ------
    DataError
        If the file cannot be read.
    EnvelopeError
        If it is not the pinned coordinator's, not for this site, or of a run that this
        site was not asked in.
    StudyMismatchError, StorageError
        See :meth:`SiteDesk.receive`.
    """
    desk = desk_of(config, ask)
    sealed = read_sealed(result)
    claimed = read_header(sealed)
    study = None
    if desk.answers is not None:
        study = desk.answers.question(claimed.study, claimed.run)
    if study is None:
        raise EnvelopeError(
            f"{result}: is of run {claimed.run!r} of study {claimed.study[:16]}...; a "
            f"result of a run that site {desk.site!r} was asked in is required; "
            "nothing was stored; check which file was sent"
        )
    desk.receive(Delivery(claimed.study, claimed.run, sealed), study)
    return desk.inbox


def read_sealed(path: Path) -> bytes:
    """
    Bytes of a sealed file, which may be anything.

    Raises
    ------
    DataError
        If it cannot be read or is too large for a message.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SEALED + 1)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); a sealed file is required; "
            "check the path"
        ) from None
    if len(content) > MAX_SEALED:
        raise DataError(
            f"{path}: is larger than any sealed message; a sealed file is required; "
            "check which file was sent"
        )
    return content
