"""A whole federation in one process: real messages, real envelopes, one table."""

import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from flwr.app import Context

from fedglmm_flower.coordinator import Options
from fedglmm_flower.coordinator import Result as Found
from fedglmm_flower.envelope import (
    Identity,
    PublicIdentity,
    new_identity,
    write_identity,
    write_public,
)
from fedglmm_flower.errors import AbsentSiteError, UsageError
from fedglmm_flower.flower.client import make_client_app
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk, CoordinatorKeys
from fedglmm_flower.flower.exchange import Tick, no_tick
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.flower.plan import strategy_for
from fedglmm_flower.flower.publish import checked_target, publish, require_no_run
from fedglmm_flower.flower.rounds import Rounds, parse_rounds, require_rounds
from fedglmm_flower.flower.run_folder import RunFolder, Terms
from fedglmm_flower.flower.site_desk import SiteDesk
from fedglmm_flower.glmm.table import require_columns
from fedglmm_flower.report import Result
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, Policy, Privacy
from fedglmm_flower.site.units import require_unit_unused
from fedglmm_flower.site.whole_table import (
    TableLike,
    TableStudy,
    read_table,
    study_of_table,
)
from fedglmm_flower.study.anchor_file import read_anchor
from fedglmm_flower.study.study import HELD_OUT


def simulate(
    data: TableLike,
    formula: str | None = None,
    family: str | None = None,
    *,
    link: str | None = None,
    site_column: str | None = None,
    trials: str | None = None,
    offset: str | None = None,
    weights: str | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
    study: Path | str | None = None,
    order: int | None = None,
    release_set: str | None = None,
    anchor: Mapping[str, float] | Path | str | None = None,
    method: str | None = None,
    policy: Policy | None = None,
    disclosure: bool = True,
    unit: str | None = None,
    privacy: Privacy | None = None,
    bootstrap: int = 0,
    rounds: str = "1",
    quorum: int | None = None,
    seed: int | None = None,
    compare_pooled: bool = False,
    out: Path | str | None = None,
    overwrite: bool = False,
    tell: Tick = no_tick,
) -> Result:
    """
    Run the one-round federation on a table that is divided by its site column.

    The same site, envelope and coordinator code runs as in a deployment, over Flower
    messages that are serialised as on the wire.

    Parameters
    ----------
    data : DataFrame or path of a CSV or Parquet file
        All rows, with a column that names the site of each.
    formula : str
        lme4 syntax; left out when a study is given.
    family, link : str
        See :func:`fedglmm_flower.glmm.fit`.
    site_column : str, optional
        Column that names the site; the group of the formula's first random part when
        left out.
    trials, offset, weights : str, optional
        Columns or expressions.
    levels : mapping, optional
        Levels of categorical columns, the reference first.
    study : path, optional
        A ``study.toml`` to use instead of proposing one from the table.
    order : int, optional
        Highest order K of the moments, 4 unless said otherwise.
    release_set : str, optional
        Set of statistics: ``anchored``, ``canonical``, ``joint`` or ``public``; all but
        ``joint`` also with ``-pairs`` or ``-tables``, which hold other products.
    anchor : mapping or path, optional
        Public anchor: coefficients by column, or a file of them such as the
        ``result.json`` of another run; ``"local"`` for each site's own.
    method : str, optional
        ``reml``, ``ml``, ``laplace`` or ``aghq:K``.
    policy : Policy, optional
        Disclosure policy of every site.
    disclosure : bool
        False switches the disclosure gate off: the table may be seen here anyway.
    unit : str, optional
        Column that names patients, where one may have several rows: the rules of the
        gate, or clipping under noise, are of patients.  It never leaves a site.
    privacy : Privacy, optional
        Noise at every site instead of the gate, drawn anew each time; asks the public
        set where an anchor is given, else the canonical one, at order 2 unless said
        otherwise.
    bootstrap : int
        Draws of the bootstrap under noise; 0 for analytic intervals.
    rounds : str
        ``1``, or ``refine:R`` for at most R Newton steps on the sites' own likelihoods
        after the one round, or ``iterative`` for as many as are needed from the
        model without random effects; a study must allow R + 1 ``rounds``, or 41.
        ``iterative:l2:V`` adds an L2 penalty, ``iterative:aic`` and ``iterative:bic``
        choose one of 0 to 10, or of a list that follows, on held-out rows.
    quorum : int, optional
        Fewest sites to fit from.
    seed : int, optional
        Seed of the pseudo-data; derived from the study when left out.
    compare_pooled : bool
        Also fit the pooled table, for comparison.
    out : path, optional
        Folder for ``study.toml``, ``sealed/`` and ``result.json``.
    overwrite : bool
        Replace an earlier run in that folder, once this one is finished.
    tell : callable
        Told of progress: stage, done, total.

    Returns
    -------
    Result
        ``result.to_dict()`` is ``result.json``.

    Raises
    ------
    FedglmmError
        With the cause and the cure; nothing is written if the question or the table
        is at fault.
    """
    if policy is not None and not disclosure:
        raise UsageError(
            "simulate: a policy and no disclosure control were asked for; one of the "
            "two is required; leave one out"
        )
    _check_noise(privacy, policy, bootstrap, rounds)
    chosen = policy or (Policy() if disclosure else NO_DISCLOSURE_CONTROL)
    unit = _one_unit(unit, chosen.unit, privacy.unit_column if privacy else None)
    chosen = replace(chosen, unit=unit)
    if privacy is not None:
        privacy = replace(privacy, unit_column=unit)
    if privacy is not None and study is None:
        order = 2 if order is None else order
        if release_set is None and anchor is None:
            release_set = "canonical"
    further = parse_rounds(rounds)
    target = None if out is None else checked_target(Path(out))
    if target is not None and not overwrite:
        require_no_run(target)
    table = study_of_table(
        read_table(data),
        formula,
        family,
        link=link,
        site_column=site_column,
        trials=trials,
        offset=offset,
        weights=weights,
        levels=levels or {},
        study=study,
        order=order,
        release_set=release_set,
        method=method,
        anchor=_coefficients(anchor),
    )
    if study is None and further.steps and table.study.family != "gaussian":
        splits = further.choice is not None and further.choice.splits
        held_out = HELD_OUT if splits else 0.0
        allowed = replace(table.study, rounds=further.points, held_out=held_out)
        table = replace(table, study=allowed)
    require_rounds(table.study, further)
    if unit is not None:
        # Every site would refuse.
        require_columns(table.frame.columns, [unit], "simulate")
        require_unit_unused(table.study, unit)
    options = Options(
        quorum=quorum,
        method=method,
        seed=seed,
        pooled=partial(_pooled, table, method) if compare_pooled else None,
        tick=tell,
        draws=bootstrap,
    )
    # Elsewhere first: a run that fails leaves the results of an earlier one alone.
    with tempfile.TemporaryDirectory(prefix="fedglmm-") as scratch:
        folder = Path(scratch) / "run"
        paid = _Paid(privacy, Path(scratch) / "ledgers")
        result = _round(table, chosen, options, folder, tell, further, paid)
        if target is not None:
            publish(folder, target)
    return result


def _check_noise(
    privacy: Privacy | None, policy: Policy | None, bootstrap: int, rounds: str
) -> None:
    if privacy is not None and policy is not None:
        raise UsageError(
            "simulate: noise and a disclosure policy were asked for; with noise the "
            "gate is not asked, for its answer would depend on the rows; leave one "
            "out, and name the column of patients by a unit of its own"
        )
    if privacy is not None and rounds != "1":
        raise UsageError(
            f"simulate: noise and --rounds {rounds}; further rounds answer without "
            "noise; one round is required; leave one of the two out"
        )
    if privacy is None and bootstrap:
        raise UsageError(
            "simulate: bootstrap draws without noise; they belong to a fit under "
            "noise; add an epsilon or leave them out"
        )


def _one_unit(*given: str | None) -> str | None:
    """The column of patients, which several places may name alike."""
    named = sorted({name for name in given if name is not None})
    if len(named) > 1:
        raise UsageError(
            f"simulate: unit {' and '.join(map(repr, named))} were asked for; patients "
            "are named by one column; leave one out"
        )
    return named[0] if named else None


def _coefficients(
    anchor: Mapping[str, float] | Path | str | None,
) -> Mapping[str, float] | None:
    if anchor is None or anchor == "local":
        return None
    return anchor if isinstance(anchor, Mapping) else read_anchor(anchor)


@dataclass(frozen=True)
class _Paid:
    """Noise at every site, and the folder of ledgers that end with the simulation."""

    privacy: Privacy | None
    ledgers: Path

    def ledger(self, site: str) -> Path | None:
        if self.privacy is None:
            return None
        self.ledgers.mkdir(parents=True, exist_ok=True)
        return self.ledgers / f"{file_name(site)}.sqlite"


def _round(
    table: TableStudy,
    policy: Policy,
    options: Options,
    folder: Path,
    tell: Tick,
    rounds: Rounds,
    paid: _Paid,
) -> Result:
    study = table.study
    coordinator = new_identity("coordinator")
    sites = {site: new_identity(site) for site in study.sites}
    present = set(table.labels)

    def open_desk(context: Context, _study: bytes) -> SiteDesk:
        site = study.sites[int(str(context.node_config["partition-id"]))]
        if site not in present:
            raise AbsentSiteError(
                f"site {site!r}: has no row in the table; the study expects it; it "
                "counts as a site that does not answer"
            )
        return SiteDesk(
            site=site,
            source=table.source(site),
            policy=policy,
            keys=_keys(sites[site], coordinator.public),
            approved=(study.digest,),
            inbox=folder / "sites" / file_name(site),
            privacy=paid.privacy,
            ledger=paid.ledger(site),
        )

    publics = {site: identity.public for site, identity in sites.items()}
    protected = policy.enabled or paid.privacy is not None
    least = 3 if protected else 1
    terms = Terms(options.quorum, options.method, options.seed, least, rounds.text)
    desk = CoordinatorDesk(
        study=study,
        run_id=secrets.token_hex(16),
        keys=CoordinatorKeys(coordinator, publics),
        folder=folder,
        options=options,
        min_broadcast=terms.min_broadcast,
    )
    _keep_keys(folder, coordinator, publics)

    def tick(stage: str, done: int, total: int) -> None:
        if stage != "gather":  # all nodes of one process are there at once
            tell(stage, done, total)

    count = len(study.sites)
    nodes = [{"partition-id": i, "num-partitions": count} for i in range(count)]
    run = RunFolder(folder, terms)
    strategy = strategy_for(rounds, study, desk, run, tick=tick)
    with InProcessGrid(make_client_app(open_desk), nodes) as grid:
        outcome = strategy.start(grid, timeout=3600.0).outcome
    if not isinstance(outcome, Found):  # pragma: no cover - combine returns one
        raise TypeError(type(outcome))
    return Result.of(outcome)


def _pooled(
    table: TableStudy, method: str | None, sites: tuple[str, ...]
) -> dict[str, Any]:
    """Fit of the rows of the sites that were used, as one table."""
    fitted = table.pooled_fit(sites, method).to_dict()
    return {key: fitted[key] for key in ("fixed", "random", "loglik", "method")}


def _keys(
    identity: Identity, coordinator: PublicIdentity
) -> Callable[[], tuple[Identity, PublicIdentity]]:
    return lambda: (identity, coordinator)


def _keep_keys(
    folder: Path, coordinator: Identity, publics: Mapping[str, PublicIdentity]
) -> None:
    """What opens the sealed releases again; the sites' own keys are forgotten."""
    keys = folder / "keys"
    write_identity(coordinator, keys / "coordinator.key")
    for site, public in publics.items():
        write_public(public, keys / "sites" / f"{file_name(site)}.pub")
