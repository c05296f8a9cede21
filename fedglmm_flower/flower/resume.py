"""Fit from what lies in files: a run that broke off, or releases without a server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fedglmm_flower.coordinator import Options, Result
from fedglmm_flower.coordinator.result import NAME as RESULT
from fedglmm_flower.envelope import read_header, split_signed
from fedglmm_flower.envelope.passphrase import Ask, ambient_passphrase
from fedglmm_flower.errors import (
    DataError,
    EnvelopeError,
    ExchangeError,
    UsageError,
)
from fedglmm_flower.flower.coordinator_desk import (
    CoordinatorDesk,
    CoordinatorKeys,
    read_keys,
)
from fedglmm_flower.flower.exchange import (
    Refused,
    ScoreRequest,
    Tick,
    no_tick,
    refusal,
)
from fedglmm_flower.flower.own_manifest import check_own_manifest, read_manifest_file
from fedglmm_flower.flower.recipient import recipient_of
from fedglmm_flower.flower.refining_desk import NOT_ASKED, RefiningDesk
from fedglmm_flower.flower.refit import keys_of_run
from fedglmm_flower.flower.rounds import parse_rounds
from fedglmm_flower.flower.run_folder import RunFolder, SavedRun, Terms
from fedglmm_flower.flower.site_files import FIRST_RUN, read_sealed, run_of
from fedglmm_flower.study import Study, read_study

DEFAULTS: Final = Terms()


@dataclass(frozen=True)
class Combined:
    """
    What was made of sealed releases.

    Parameters
    ----------
    result : Result
        Also in ``result.json``.
    results : tuple of Path
        The estimates, sealed to each site; none where too few sites were used.
    rejected : mapping
        Files that were not accepted, and why.
    """

    result: Result
    results: tuple[Path, ...]
    rejected: Mapping[Path, Refused]


def resume(
    run: Path,
    *,
    keys: Path | None = None,
    quorum: int | None = None,
    tell: Tick = no_tick,
    ask: Ask = ambient_passphrase,
) -> Combined:
    """
    Fit the releases that a run has kept, whatever became of the run.

    Law: estimates and log-likelihood are those that the run would have found, to the
    last digit: they follow from the releases, the study and the run's terms.  Keys and
    manifest are those of the run, also after a rotation or the manifest's expiry: what
    is here was sent while they held.  Further rounds are taken again as far as all
    their answers are here; after that the result says what is missing.

    Parameters
    ----------
    run : Path
        Folder of the run.
    keys : Path or None
        Folder with ``coordinator.key`` and ``sites/``; ``keys`` inside the run when
        left out.
    quorum : int or None
        Fewest sites to fit from; the run's when None.
    tell : callable
        Told of progress.
    ask : callable
        Gives the passphrase of a key file; from the environment when left out.

    Raises
    ------
    FedglmmError
        With the cause and the cure; the releases stay where they are.
    """
    saved = RunFolder(run).read()
    found = keys_of_run(run, saved, keys, ask)
    terms = saved.terms if quorum is None else replace(saved.terms, quorum=quorum)
    return _fit(RunFolder(run, terms), saved, found, {}, tell)


def combine_files(
    paths: Sequence[Path],
    *,
    study: Path,
    keys: Path,
    out: Path,
    run: str = FIRST_RUN,
    terms: Terms = DEFAULTS,
    manifest: Path | None = None,
    tell: Tick = no_tick,
    ask: Ask = ambient_passphrase,
) -> Combined:
    """
    Fit sealed releases that sites have sent as files.

    The sender counts, not the name of a file.  A release that comes twice is accepted
    once; one of another run, study, recipient or sender is not accepted.  Files that
    come later may be added to the same folder.

    Parameters
    ----------
    paths : sequence of Path
        Sealed files, or folders of them.
    study : Path
        ``study.toml``.
    keys : Path
        Folder with ``coordinator.key`` and ``sites/SITE.pub``.
    out : Path
        Folder of the run: new, or one that this run has written.
    run : str
        Label that the coordinator gave to the sites.
    terms : Terms
        How to fit.
    manifest : Path or None
        The signed manifest under which the sites have answered.  It may have expired
        since: the sites' clocks have decided when they answered.
    tell : callable
        Told of progress.
    ask : callable
        Gives the passphrase of a key file; from the environment when left out.

    Raises
    ------
    ExchangeError
        If no file is accepted, or a site has sent two different releases.
    ManifestError, StudyMismatchError
        If the manifest is not of this study, these sites and this coordinator.
    FedglmmError
        If a file or the fit stands in the way.
    """
    asked = read_study(study)
    signed = b"" if manifest is None else read_manifest_file(manifest)
    folder = RunFolder(out, terms)
    begun = _begun(folder, asked, run_of(run), signed)
    files = {path: read_sealed(path) for path in _files(paths)}
    sealed_to = recipient_of((begun or files).values())
    found = read_keys(keys, asked, sealed_to=sealed_to, ask=ask)
    if signed:
        check_own_manifest(signed, asked, found.identity, found.publics, now=None)
    desk = CoordinatorDesk(asked, run_of(run), found, out, manifest=signed)
    accepted, rejected = _sort_out(desk, begun, files)
    if not accepted:
        first, why = next(iter(rejected.items()))
        raise ExchangeError(
            f"{first}: {why.code} ({why.public}); none of {len(rejected)} files is a "
            f"release for run {run!r} of study {asked.name!r}; at least one is "
            "required; check study, label and keys, and ask the sites again"
        )
    if not begun:
        folder.open_run(asked, run_of(run), signed)
    for site, sealed in accepted.items():
        folder.keep(site, sealed)
    refusals = {
        str(why.site): why
        for why in rejected.values()
        if why.site in asked.sites and why.site not in accepted
    }
    folder.close_round(asked, run_of(run), refusals)
    saved = SavedRun(asked, run_of(run), accepted, refusals, terms, signed)
    return _fit(folder, saved, found, rejected, tell)


def _fit(
    folder: RunFolder,
    saved: SavedRun,
    keys: CoordinatorKeys,
    rejected: Mapping[Path, Refused],
    tell: Tick,
) -> Combined:
    terms = folder.terms
    desk = CoordinatorDesk(
        study=saved.study,
        run_id=saved.run_id,
        keys=keys,
        folder=folder.path,
        options=Options(
            quorum=terms.quorum, method=terms.method, seed=terms.seed, tick=tell
        ),
        min_broadcast=terms.min_broadcast,
        manifest=saved.manifest,
    )
    result = _all_rounds(desk, folder, saved)
    made = []
    for site in saved.study.sites:
        sealed = desk.seal_result(result, site)
        if sealed is not None:
            made.append(folder.keep_result(site, sealed))
    return Combined(result, tuple(made), rejected)


def _all_rounds(desk: CoordinatorDesk, folder: RunFolder, saved: SavedRun) -> Result:
    """The one round, and further ones as far as their answers are in the folder."""
    rounds = parse_rounds(folder.terms.rounds)
    if not rounds.steps:
        return desk.combine(saved.sealed, saved.refusals, 0.0)

    def kept(
        point: int, questions: Mapping[str, ScoreRequest]
    ) -> dict[str, bytes | Refused]:
        return {
            site: folder.answer(point, site) or replace(NOT_ASKED, site=site)
            for site in questions
        }

    further = RefiningDesk(desk, rounds)
    one_round = further.combine(saved.sealed, saved.refusals, 0.0)
    return further.go_on(one_round, kept)


def _begun(
    folder: RunFolder, study: Study, run_id: str, manifest: bytes
) -> dict[str, bytes]:
    """Releases that the folder holds already of this run."""
    if not (folder.path / "run.json").exists():
        if (folder.path / RESULT).exists():
            raise UsageError(
                f"{folder.path}: holds a result and is no folder of a run; a new "
                "folder is required; choose another name"
            )
        return {}
    saved = folder.read()
    if (saved.study.digest, saved.run_id) != (study.digest, run_id):
        raise UsageError(
            f"{folder.path}: holds run {saved.run_id!r} of study {saved.study.name!r}, "
            "which is not the one asked for; a new folder is required; choose another "
            "name"
        )
    if saved.manifest != manifest:
        raise UsageError(
            f"{folder.path}: holds a run under {_named(saved.manifest)}, and "
            f"{_named(manifest)} was given; that of the run is required; correct "
            "--manifest, or choose a new folder"
        )
    return dict(saved.sealed)


def _named(manifest: bytes) -> str:
    if not manifest:
        return "no manifest"
    return f"manifest {split_signed(manifest).digest[:16]}..."


def _sort_out(
    desk: CoordinatorDesk, begun: Mapping[str, bytes], files: Mapping[Path, bytes]
) -> tuple[dict[str, bytes], dict[Path, Refused]]:
    """Releases by the site that has proved to send them, and files that prove none."""
    accepted, contents = dict(begun), {}
    rejected: dict[Path, Refused] = {}
    for site, sealed in begun.items():
        known = desk.admit(site, sealed)
        contents[site] = "" if isinstance(known, Refused) else known.content
    for path, sealed in files.items():
        try:
            site = read_header(sealed).site
        except EnvelopeError as error:
            rejected[path] = refusal(error, None)
            continue
        found = desk.admit(site, sealed)
        if isinstance(found, Refused):
            rejected[path] = found
        elif contents.setdefault(site, found.content) == found.content:
            accepted.setdefault(site, sealed)
        else:
            raise ExchangeError(
                f"{path}: a second release of site {site!r} for this run, other than "
                "the first; one is required; ask the site which of them holds, and "
                "leave the other out, or begin a run with a new label"
            )
    return dict(sorted(accepted.items())), rejected


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.sealed")) if path.is_dir() else [path]
        if not inside:
            raise DataError(
                f"{path}: holds no sealed file; a folder with files SITE.sealed is "
                "required; check the path"
            )
        found += inside
    return found
