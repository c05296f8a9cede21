"""One replicate: the pooled fit, and the fit from each release set."""

import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.records import Record
from benchmarks.simulation.designs import Setting, rows_of
from fedglmm_flower.coordinator.fitting import fit_releases, silent
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.targets import targets_of
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.glmm.held_covariance import Parameter
from fedglmm_flower.glmm.held_likelihood import generalised_profile
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, release
from fedglmm_flower.site.whole_table import Table, TableStudy, study_of_table
from fedglmm_flower.study.offers import Offer, parse_offer

POOLED = "pooled"
_REACHED = 3.841458820694124  # 95 % quantile of chi-squared with one degree of freedom


def asked(setting: Setting, frame: pd.DataFrame, offer: Offer) -> TableStudy:
    """The study that asks one release set of a replicate's table."""
    return study_of_table(
        Table(frame, setting.name),
        setting.formula,
        setting.family,
        link=None,
        site_column="g",
        trials=None,
        offset=None,
        weights=None,
        levels={},
        study=None,
        order=offer[1],
        release_set=offer[0],
        method="laplace",
    )


def opened(table: TableStudy) -> dict[str, Opened]:
    """What the sites release without a gate, as the coordinator opens it."""
    study, found = table.study, {}
    for site in study.sites:
        answer = release(study, table.source(site), NO_DISCLOSURE_CONTROL, site=site)
        statistics = study.statistics(answer.order, answer.release_set)
        targets = (
            targets_of(study.model, statistics, cluster, site)
            for cluster in answer.clusters
        )
        found[site] = Opened(answer, tuple(targets), 0)
    return found


def records(
    setting: Setting,
    replicate: int,
    wanted: list[str],
    draws: dict[str, int],
    *,
    judged: bool = True,
) -> list[Record]:
    """
    Estimates and what is said of their accuracy, one record for each wanted set.

    Parameters
    ----------
    setting : Setting
    replicate : int
    wanted : list of str
        ``pooled``, and offers such as ``canonical:4``.
    draws : mapping
        Most draws of pseudo-data for each set name.
    judged : bool
        Whether to record what is said of the accuracy.
    """
    frame = rows_of(setting, replicate)
    found = []
    for name in wanted:
        began = time.perf_counter()
        record: Record = {
            "setting": setting.name,
            "replicate": replicate,
            "set": name,
        }
        try:
            if name == POOLED:
                table = asked(setting, frame, ("canonical", 2))
                fitted = table.pooled_fit(table.study.sites, "laplace")
                record |= _estimates(setting, fitted)
            else:
                record |= _one_round(
                    setting, replicate, frame, name, draws, judged=judged
                )
        except FedglmmError as error:
            record["failed"] = f"{type(error).__name__}: {error}"
        record["seconds"] = round(time.perf_counter() - began, 3)
        found.append(record)
    return found


def _one_round(
    setting: Setting,
    replicate: int,
    frame: pd.DataFrame,
    name: str,
    draws: dict[str, int],
    *,
    judged: bool,
) -> Record:
    offer = parse_offer(name)
    table = asked(setting, frame, offer)
    answers = opened(table)
    one = fit_releases(
        table.study,
        answers,
        "laplace",
        replicate,
        silent,
        most_draws=draws[offer[0]],
        judged=judged,
    )
    sets = sorted(
        {(o.released.release_set, o.released.order) for o in answers.values()}
    )
    found = _estimates(setting, one.model)
    found |= {
        "statistics": len(table.study.statistics(offer[1], offer[0])),
        "sent": sets,
        "residual": one.residual,
    }
    accuracy = one.accuracy
    if accuracy is not None:
        found |= {
            "shift": _plain(accuracy.order_shift),
            "spread": _plain(accuracy.seed_spread),
            "sd_shift": _plain(accuracy.sd_shift),
            "sd_spread": _plain(accuracy.sd_spread),
            "sd_se": _plain(accuracy.sd_se),
            "start_shift": _plain(accuracy.start_shift),
            "sd_start_shift": _plain(accuracy.sd_start_shift),
            "missed": accuracy.missed,
            "approx_error": _plain(accuracy.error),
            "sd_error": _plain(accuracy.sd_error),
        }
    return found


def _plain(values: Any) -> list[float] | None:
    return None if values is None else [float(v) for v in values]


def _estimates(setting: Setting, fitted: FittedModel) -> Record:
    """
    Estimates, standard errors, and whether the sd's profile interval has the truth.

    It has where the likelihood-ratio test does not reject the truth.
    """
    at_truth = generalised_profile(fitted, Parameter(0, (0,)))(setting.sd)
    return {
        "converged": fitted.converged,
        "names": list(fitted.names),
        "estimates": _plain(fitted.estimates),
        "se": _plain(np.nan_to_num(fitted.se)),
        "sd": float(fitted.random[0].sd[0]),
        "sd_inside": bool(2.0 * (fitted.loglik - at_truth) <= _REACHED),
        "loglik": fitted.loglik,
    }
