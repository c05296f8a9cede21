"""Refit from the folder of a run: other models of the same releases."""

from pathlib import Path

from fedglmm_flower.coordinator import Options, Refusal, Reopened, reopen, submodel
from fedglmm_flower.coordinator import refit as refit_releases
from fedglmm_flower.errors import KeyFileError, UsageError
from fedglmm_flower.flower.coordinator_desk import CoordinatorKeys, read_keys
from fedglmm_flower.flower.exchange import Tick, no_tick
from fedglmm_flower.flower.publish import checked_target
from fedglmm_flower.flower.recipient import recipient_of
from fedglmm_flower.flower.run_folder import RunFolder, SavedRun
from fedglmm_flower.report import Result
from fedglmm_flower.study import write_study


def refit(
    run: Path | str,
    formula: str,
    family: str | None = None,
    *,
    link: str | None = None,
    method: str | None = None,
    keys: Path | str | None = None,
    quorum: int | None = None,
    seed: int | None = None,
    bootstrap: int = 0,
    out: Path | str | None = None,
    tell: Tick = no_tick,
) -> Result:
    """
    Fit another model to the releases of an earlier run, with no new round.

    Parameters
    ----------
    run : path
        Folder of the run: ``study.toml``, ``run.json`` and ``sealed/``.
    formula : str
        A model of released columns: fewer of them, other random slopes.
    family, link : str, optional
        Those of the run when left out.
    method : str, optional
        ``reml``, ``ml``, ``laplace`` or ``aghq:K``; that of the run when left out.
    keys : path, optional
        Folder with ``coordinator.key`` and ``sites/``; ``keys`` inside the run when
        left out, where a simulation keeps them.
    quorum : int, optional
        Fewest sites to fit from.
    seed : int, optional
        Seed of the pseudo-data; that of the run when left out.
    bootstrap : int
        Draws of the bootstrap under noise, kept in ``bootstrap.jsonl`` of the run; 0
        for analytic intervals.
    out : path, optional
        Folder for ``study.toml`` and ``result.json``.
    tell : callable
        Told of progress: stage, done, total.

    Returns
    -------
    Result
        With what it rests on in its warnings.

    Raises
    ------
    FedglmmError
        With the cause and the cure; nothing is written then.
    """
    folder = Path(run)
    saved = RunFolder(folder).read()
    part = submodel(saved.study, formula, family=family, link=link, method=method)
    target = None if out is None else _new_folder(Path(out))
    options = Options(
        quorum=quorum,
        seed=seed,
        tick=tell,
        draws=bootstrap,
        # Kept beside the run: a call that was interrupted goes on.
        store=folder / "bootstrap.jsonl" if bootstrap else None,
    )
    result = Result.of(refit_releases(part, _opened(folder, saved, keys, options)))
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        write_study(part.study, target / "study.toml")
        result.write(target)
    return result


def keys_of_run(
    folder: Path, saved: SavedRun, keys: Path | str | None
) -> CoordinatorKeys:
    """
    Keys that open the releases of a run, which may have been rotated since.

    Raises
    ------
    KeyFileError
        If there are none, or they are not usable.
    """
    if keys is None and not (folder / "keys").is_dir():
        # A simulation leaves them there; in a consortium they stand elsewhere.
        raise KeyFileError(
            f"{folder}: has no folder 'keys'; the coordinator's keys, which the sites "
            "sealed their releases to, are required; name their folder with --keys"
        )
    return read_keys(
        folder / "keys" if keys is None else Path(keys),
        saved.study,
        sealed_to=recipient_of(saved.sealed.values()),
    )


def reopened(
    run: Path | str,
    *,
    keys: Path | str | None = None,
    quorum: int | None = None,
    seed: int | None = None,
    tell: Tick = no_tick,
) -> Reopened:
    """
    Releases of an earlier run, ready for any model; parameters as of :func:`refit`.

    Raises
    ------
    FedglmmError
        With the cause and the cure.
    """
    folder = Path(run)
    options = Options(quorum=quorum, seed=seed, tick=tell)
    return _opened(folder, RunFolder(folder).read(), keys, options)


def _opened(
    folder: Path, saved: SavedRun, keys: Path | str | None, options: Options
) -> Reopened:
    keyring = keys_of_run(folder, saved, keys)
    return reopen(
        saved.study,
        saved.sealed,
        {s: Refusal(r.code, r.public) for s, r in saved.refusals.items()},
        run_id=saved.run_id,
        identity=keyring.identity,
        publics=keyring.publics,
        manifest=saved.manifest_digest,
        options=options,
    )


def free_folder(run: Path) -> Path:
    """The next folder ``refit-1``, ``refit-2``, ... of a run that does not exist."""
    number = 1
    while (run / f"refit-{number}").exists():
        number += 1
    return run / f"refit-{number}"


def _new_folder(folder: Path) -> Path:
    if (folder / "run.json").exists() or (folder / "result.json").exists():
        raise UsageError(
            f"{folder}: holds the files of a run; a new folder is required, for a "
            "refit never replaces a result; choose another name"
        )
    return checked_target(folder)
