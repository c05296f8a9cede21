"""The ServerApp of the coordinator: the run configuration, and one round."""

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from logging import INFO
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.common import log
from flwr.serverapp import Grid, ServerApp

from fedglmm_flower.coordinator import Options
from fedglmm_flower.errors import StorageError, UsageError
from fedglmm_flower.flower.admission import utc_now
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk, read_keys
from fedglmm_flower.flower.exchange import Tick, refusal
from fedglmm_flower.flower.own_manifest import (
    check_own_manifest,
    read_manifest_file,
)
from fedglmm_flower.flower.plan import strategy_for
from fedglmm_flower.flower.rounds import (
    ONE_ROUND,
    Rounds,
    parse_rounds,
    require_rounds,
)
from fedglmm_flower.flower.run_folder import RunFolder, Terms
from fedglmm_flower.flower.site_log import write_detail
from fedglmm_flower.study import read_study
from fedglmm_flower.study.whole_file import write_whole

LOG_NAME = "coordinator.log"
UNITS = dict.fromkeys(("gather", "summarise", "pseudo-data", "broadcast"), " sites")


@dataclass(frozen=True)
class RunConfig:
    """
    The run configuration, checked.

    Parameters
    ----------
    study, run_dir, keys_dir : Path
        Absolute paths at the coordinator.
    deadline : float
        Seconds to wait for the sites, and again for their answers.
    quorum : int or None
        Fewest sites; None for every expected one.
    manifest : Path or None
        The study's signed manifest at the coordinator; None to run without.
    rounds : Rounds
        What follows the one round.
    """

    study: Path
    run_dir: Path
    keys_dir: Path
    deadline: float
    quorum: int | None
    manifest: Path | None = None
    rounds: Rounds = ONE_ROUND

    @classmethod
    def of(cls, values: dict[str, Any]) -> "RunConfig":
        """
        Check the values of ``flwr run -c``.

        Raises
        ------
        UsageError
            If a path is not absolute or a number is out of range.
        """
        deadline, quorum = float(values["deadline"]), int(values["quorum"])
        if not deadline > 0 or quorum < 0:
            raise UsageError(
                f"run configuration: deadline={deadline}, quorum={quorum}; a positive "
                "deadline in seconds and a quorum of 0 (all) or more are required"
            )
        return cls(
            study=_absolute(values, "study"),
            run_dir=_absolute(values, "run-dir"),
            keys_dir=_absolute(values, "keys-dir"),
            deadline=deadline,
            quorum=quorum or None,
            manifest=_absolute(values, "manifest") if values.get("manifest") else None,
            rounds=parse_rounds(str(values.get("rounds", "1"))),
        )


def run_round(grid: Grid, config: RunConfig, tell: Tick | None = None) -> None:
    """
    Read study and keys, run the rounds, write the result.

    Parameters
    ----------
    grid : Grid
        Flower's grid.
    config : RunConfig
        Where everything is.
    tell : callable or None
        Told of every step; Flower's log and ``progress.json`` when None.

    Raises
    ------
    FedglmmError
        If a file, the sites or the fit stand in the way.
    """
    study = read_study(config.study)
    require_rounds(study, config.rounds)
    tick = tell or teller(config.run_dir)
    keys = read_keys(config.keys_dir, study)
    manifest = read_manifest_file(config.manifest) if config.manifest else b""
    if manifest:
        check_own_manifest(manifest, study, keys.identity, keys.publics, now=utc_now())
    desk = CoordinatorDesk(
        study=study,
        run_id=secrets.token_hex(16),
        keys=keys,
        folder=config.run_dir,
        options=Options(quorum=config.quorum, tick=tick),
        manifest=manifest,
    )
    strategy = strategy_for(
        config.rounds,
        study,
        desk,
        RunFolder(
            config.run_dir, Terms(quorum=config.quorum, rounds=config.rounds.text)
        ),
        quorum=config.quorum,
        tick=tick,
        patience=config.deadline,
    )
    strategy.start(grid, timeout=config.deadline)


def main(grid: Grid, context: Context) -> None:
    """
    Run one round as the run configuration says.

    Leaves the coordinator: counts, and the code and fixed sentence of an error.  The
    SuperLink stores what a ServerApp prints and raises, and is not trusted with more;
    the detail goes to ``coordinator.log`` in the run's folder.
    """
    try:
        config = RunConfig.of(dict(context.run_config))
    except UsageError as error:
        raise RuntimeError(f"{error.code}: {error.detail}") from None
    failure = None
    try:
        run_round(grid, config)
    except Exception as error:  # noqa: BLE001 - told below, without its text
        with suppress(OSError):  # a full disk must not become what is told
            config.run_dir.mkdir(parents=True, exist_ok=True)
            write_detail(config.run_dir / LOG_NAME, error)
        failure = refusal(error, None)
    if failure is not None:
        # Outside the except clause, so that no traceback carries the detail along.
        raise RuntimeError(f"{failure.code}: {failure.public}")


def teller(folder: Path) -> Tick:
    """
    Tell each step in Flower's log, in tenths, and in ``progress.json``.

    Parameters
    ----------
    folder : Path
        The run's folder, for who wants to watch a run from outside Flower.

    Returns
    -------
    Tick
        To be called at every step.
    """
    last: tuple[str, int] | None = None

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal last
        step = {"stage": stage, "done": done, "total": total}
        with suppress(StorageError):  # a run does not end for who watches it
            write_whole(folder / "progress.json", json.dumps(step).encode())
        if last != (last := (stage, 10 * done // max(total, 1))):
            log(INFO, "%s: %d of %d%s", stage, done, total, UNITS.get(stage, ""))

    return tell


def _absolute(values: dict[str, Any], key: str) -> Path:
    path = Path(str(values[key]))
    if not path.is_absolute():
        raise UsageError(
            f"run configuration, {key}: {str(values[key])!r} was found; an absolute "
            f"path is required; add -c '{key}=\"/...\"' to flwr run"
        )
    return path


app = ServerApp()
app.main()(main)
