"""A result as headed texts and tables: what every form of a report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedglmm_flower.glmm.printed import title
from fedglmm_flower.report.commands import commands_of
from fedglmm_flower.report.noise_tables import budgets_table, privacy_table
from fedglmm_flower.report.rounds import rounds_text
from fedglmm_flower.report.scale import scale_of
from fedglmm_flower.report.tables import (
    Table,
    diagnostics_table,
    fixed_table,
    provenance_table,
    random_table,
    sites_table,
)
from fedglmm_flower.report.text import absent_text, accuracy_text, noise_text

_MOST_TERMS = 12  # of an equation


@dataclass(frozen=True)
class View:
    """
    All texts of a report.

    Parameters
    ----------
    heading : str
        Name of the study, or its formula.
    model : str
        What was fitted.
    verdict, grade : str
        The verdict in a sentence; ``good``, ``caution`` or ``bad``.
    accuracy : str
        How far the estimates may be from a pooled fit.
    warnings, absent : tuple of str
        What to know before reading a number, and who is not in it.
    question : str
        In words.
    formula : str
        As it was asked.
    equation : tuple of str
        The model in mathematics.
    fixed, random, sites, diagnostics, provenance : Table
        The parts.
    privacy, budgets : Table or None
        What was spent; None without noise.
    commands : tuple of (str, str)
        What a command does, and the command.
    """

    heading: str
    model: str
    verdict: str
    grade: str
    accuracy: str
    warnings: tuple[str, ...]
    absent: tuple[str, ...]
    question: str
    formula: str
    equation: tuple[str, ...]
    fixed: Table
    random: Table
    sites: Table
    diagnostics: Table
    provenance: Table
    privacy: Table | None
    budgets: Table | None
    commands: tuple[tuple[str, str], ...]


def view_of(result: Mapping[str, Any]) -> View:
    """
    Texts and tables of ``result.json``.

    Parameters
    ----------
    result : mapping
        Its content.
    """
    study = result["study"]
    mixed = bool(result["random"])
    verdict, grade = _verdict(result)
    return View(
        heading=study.get("name") or study["formula"],
        model=f"{title(result['family'], result['method'], mixed=mixed)}, "
        f"{result['family']} family with {result['link']} link",
        verdict=verdict,
        grade=grade,
        accuracy=accuracy_text(result),
        warnings=tuple(result["diagnostics"]["warnings"]),
        absent=tuple(
            line.strip()
            for line in (
                *rounds_text(result),
                *noise_text(result),
                *absent_text(result),
            )
        ),
        question=_question(result),
        formula=study["formula"],
        equation=_equation(result),
        fixed=fixed_table(result),
        random=random_table(result),
        sites=sites_table(result),
        diagnostics=diagnostics_table(result),
        provenance=provenance_table(result),
        privacy=privacy_table(result),
        budgets=budgets_table(result),
        commands=commands_of(result),
    )


def _verdict(result: Mapping[str, Any]) -> tuple[str, str]:
    if not result["converged"]:
        return "The fit has not converged: do not use the estimates", "bad"
    kind = "exact" if result["exactness"] == "exact" else "approximate"
    count = len(result["diagnostics"]["warnings"])
    if count:
        plural = "warning" if count == 1 else "warnings"
        return f"Converged, {kind}, with {count} {plural} to read first", "caution"
    return f"Converged, {kind}, without warnings", "good"


def _response(result: Mapping[str, Any]) -> str:
    left, tilde, _ = str(result["study"]["formula"]).partition("~")
    return left.strip() if tilde else "the response"


def _question(result: Mapping[str, Any]) -> str:
    scale = scale_of(result["family"], result["link"])
    names = [row["name"] for row in result["fixed"] if row["name"] != "Intercept"]
    rows = result["n_rows"]
    among = "" if rows is None else f"{rows:,} rows of "
    used = result["n_sites"]
    text = f"Among {among}{used} sites: "
    if names:
        text += (
            f"how does the {scale.outcome} {_response(result)} depend on "
            f"{_listed(names)}"
        )
    else:
        text += f"what is the {scale.outcome} {_response(result)}"
    varying: dict[str, list[str]] = {}
    for row in result["random"]:
        if row["term2"] is None:
            varying.setdefault(row["group"], []).append(
                "level" if row["term1"] == "Intercept" else f"effect of {row['term1']}"
            )
    parts = [f"each {group} its own {_listed(what)}" for group, what in varying.items()]
    if parts:
        text += f", when {_listed(parts).replace(' its own', ' may have its own')}"
    return text + "?"


def _listed(names: Sequence[str]) -> str:
    """
    Names in a sentence.

    Examples
    --------
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + [*names[-1:]])


def _equation(result: Mapping[str, Any]) -> tuple[str, ...]:
    scale = scale_of(result["family"], result["link"])
    terms = []
    for k, row in enumerate(result["fixed"][:_MOST_TERMS]):
        has_constant = result["fixed"][0]["name"] == "Intercept"
        beta = f"β{k if has_constant else k + 1}"
        terms.append(beta if row["name"] == "Intercept" else f"{beta}·{row['name']}")
    if len(result["fixed"]) > _MOST_TERMS:
        terms.append("…")
    groups: dict[str, int] = {}
    for row in result["random"]:
        if row["term2"] is not None:
            continue
        group = row["group"]
        at = groups.setdefault(group, 0)
        groups[group] = at + 1
        effect = f"u{at}[{group}]"
        one = row["term1"] == "Intercept"
        terms.append(effect if one else f"{effect}·{row['term1']}")
    offset = result["study"].get("offset")
    terms += [f"offset({offset})"] if offset else []
    left = scale.predictor.format(_response(result))
    lines = [f"{left} = " + (" + ".join(terms) or "0")]
    for group, count in groups.items():
        if count == 1:
            lines.append(f"u0[{group}] ~ N(0, σ²)")
        else:
            names = ", ".join(f"u{k}[{group}]" for k in range(count))
            lines.append(f"({names}) ~ N(0, Σ)")
    if result["family"] == "gaussian":
        lines.append(f"{_response(result)} ~ N(E({_response(result)}), σₑ²)")
    return tuple(lines)
