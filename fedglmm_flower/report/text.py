"""A result as plain text: warnings first, then the tables in lme4's order."""

import textwrap
from collections.abc import Mapping
from typing import Any

from fedglmm_flower.glmm.printed import (
    aligned,
    criteria,
    dispersion,
    random_table,
    sizes,
    title,
)
from fedglmm_flower.report.numbers import error, number, p_value, span
from fedglmm_flower.report.rounds import (
    own_rows,
    penalty_of,
    rounds_of,
    rounds_text,
)

WIDTH = 88
MOST_NAMES = 8
GATE_CODES = ("disclosure-refused", "site-empty")


def summary_text(result: Mapping[str, Any]) -> str:
    """
    Summary of ``result.json``.

    Parameters
    ----------
    result : mapping
        Its content.

    Returns
    -------
    str
        Lines of at most 88 characters, but for long names.
    """
    study = result["study"]
    head = [
        title(result["family"], result["method"], mixed=bool(result["random"]))
        + _federation(result),
        f" Family: {result['family']} ( {result['link']} )",
        f"Formula: {study['formula']}",
        f"  Sites: {_sites(result)}",
        f"   Sent: {_sent(result)}",
        f"    Fit: {accuracy_text(result)}",
    ]
    head += rounds_text(result)
    head += noise_text(result)
    head += absent_text(result)
    lines = [line for text in head for line in _wrapped(text)]
    if not result["converged"]:
        lines.append("WARNING: the fit has not converged; do not use the estimates")
    for warning in result["diagnostics"]["warnings"]:
        lines += _wrapped(f"Warning: {warning}")
    lines.append("")
    if result["loglik"] is not None:  # there is none of noisy sums
        lines += [*criteria(result["aic"], result["bic"], result["loglik"]), ""]
    if result["random"]:
        errors = None
        if any("approx_error" in row for row in result["random"]):
            exact = result["exactness"] == "exact"
            errors = [
                "none" if exact else error(row.get("approx_error"))
                for row in result["random"]
                if row["term2"] is None
            ]
        table = random_table(result["random"], result["residual_sd"], errors)
        lines += ["Random effects:", *table, ""]
        shares = explained_text(result)
        lines += [shares, ""] if shares else []
    lines += [_sizes(result), ""]
    if result["dispersion"] is not None:
        lines += [dispersion(result["family"], result["dispersion"]), ""]
    lines += ["Fixed effects:", *_fixed(result)]
    if result["pooled"] is not None:
        lines += ["", "Pooled fit of the same rows:", *_pooled(result)]
    return "\n".join(lines) + "\n"


def _federation(result: Mapping[str, Any]) -> str:
    count = rounds_of(result)
    return ", one-round federation" if count < 2 else f", federation of {count} rounds"


def _wrapped(text: str) -> list[str]:
    """Lines of at most the width; long names stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=" " * 9,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sites(result: Mapping[str, Any]) -> str:
    entries = result["sites"]
    used = [s for s in entries if s["status"] == "used"]
    counts = sorted(s["n_rows"] for s in used if s["n_rows"] is not None)
    text = f"{len(used)} of {len(entries)} used"
    if counts:
        middle = counts[len(counts) // 2]
        text += (
            f", {sum(counts)} rows ({counts[0]} to {counts[-1]} a site, "
            f"median {middle})"
        )
    return text


def noise_text(result: Mapping[str, Any]) -> list[str]:
    """What protects the rows, and what it means for the intervals."""
    privacy = result.get("privacy")
    if privacy is None:
        return []
    how = privacy.get("intervals")
    text = (
        f"Privacy: epsilon {privacy['epsilon']:g}, delta {privacy['delta']:g}, "
        f"relation {privacy['relation']}"
    )
    if how is not None:
        grown = privacy["se_inflation"].values()
        text += (
            f"; standard errors and intervals ({how}) include the noise, which makes "
            f"them {min(grown):.2f} to {max(grown):.2f} times as wide"
        )
    return [text]


def absent_text(result: Mapping[str, Any]) -> list[str]:
    """Who is not in the estimates, by what it was for; one line for each reason."""
    sites: dict[tuple[str, str], list[str]] = {}
    for entry in result["sites"]:
        if entry["status"] != "used":
            reason = (entry["status"], entry.get("code") or "")
            sites.setdefault(reason, []).append(entry["site"])
    lines = []
    for (status, code), names in sorted(sites.items(), reverse=True):
        shown = ", ".join(names[:MOST_NAMES])
        shown += f", ... ({len(names)} in all)" if len(names) > MOST_NAMES else ""
        why = f" ({code})" if code not in ("", "site-missing") else ""
        # The rule that failed is the site's own business, and is shown there alone.
        where = "; 'fedglmm site preview' there shows why" if code in GATE_CODES else ""
        lines.append(f"{status.capitalize():>7}: {shown}{why}{where}")
    return lines


def _sent(result: Mapping[str, Any]) -> str:
    used = [s for s in result["sites"] if s["status"] == "used"]
    if not used:
        return "nothing"
    counts = sorted({s["statistics"] for s in used})
    sizes = [s["bytes_sent"] for s in used]
    orders = sorted({s["order"] for s in used})
    points = rounds_of(result) - 1
    first = "once" if points < 1 else "first"
    text = (
        f"{first}, {span(counts)} statistics (order {span(orders)}) and "
        f"{span(sizes)} bytes a site"
    )
    if points > 0:
        places = "1 point" if points == 1 else f"up to {points} points"
        text += f"; then log-likelihood, gradient and Hessian at {places}"
    return text


def accuracy_text(result: Mapping[str, Any]) -> str:
    """How far the estimates may be from a fit of the pooled rows."""
    if result["exactness"] == "exact":
        text = "exact: the estimates are those of the pooled rows"
        penalty = penalty_of(result)
        return text + (f" under an L2 penalty of {penalty:g}" if penalty else "")
    if own_rows(result):
        return (
            "approximate: the further rounds have not arrived at the estimates of the "
            "pooled rows; errors, where known, are the size of their next step"
        )
    residual = result["diagnostics"]["moment_residual"]
    if residual is None:
        return "approximate: a mixed model of noisy sums, weighted by their noise"
    errors = [
        row["approx_error"] / row["se"]
        for row in result["fixed"]
        if row["approx_error"] is not None and row["se"]
    ]
    text = f"approximate: pseudo-data miss no moment by more than {residual:.1g} sd"
    if errors:
        text += (
            f"; estimates within about {max(errors):.2g} standard errors of a pooled "
            "fit of these sites"
        )
    return text


def explained_text(result: Mapping[str, Any]) -> str:
    """Shares of the latent variance, those that are known."""
    parts = []
    if result.get("icc") is not None:
        parts.append(f"ICC: {result['icc']:.4g}")
    shares = result["diagnostics"].get("r2")
    if shares is not None:
        parts.append(f"R2 marginal: {shares['marginal']:.4g}")
        parts.append(f"R2 conditional: {shares['conditional']:.4g}")
    return ", ".join(parts)


def _sizes(result: Mapping[str, Any]) -> str:
    """Rows, unless they are hidden, and clusters of each group."""
    levels: dict[str, set[str]] = {}
    for row in result.get("ranef", ()):
        levels.setdefault(row["group"], set()).add(row["level"])
    counts = {group: len(names) for group, names in levels.items()}
    return sizes(result.get("n_rows"), counts)


def _fixed(result: Mapping[str, Any]) -> list[str]:
    heads = ("", "Estimate", "Std. Error", "z value", "Pr(>|z|)", "approx. error")
    exact = result["exactness"] == "exact"
    rows = [
        (
            row["name"],
            number(row["estimate"]),
            number(row["se"]),
            "-" if row["z"] is None else f"{row['z']:.3f}",
            p_value(row["p"]),
            "none" if exact else error(row["approx_error"]),
        )
        for row in result["fixed"]
    ]
    return aligned([heads, *rows], left=1)


def _pooled(result: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [("", "Estimate", "Std. Error", "shift", "in SE")]
    pooled = result["pooled"]
    for ours, theirs in zip(result["fixed"], pooled["fixed"], strict=True):
        shift = ours["estimate"] - theirs["estimate"]
        in_se = f"{shift / theirs['se']:+.2g}" if theirs["se"] else ""
        cells = (number(theirs["estimate"]), number(theirs["se"]), f"{shift:+.2g}")
        rows.append((theirs["name"], *cells, in_se))
    for ours, theirs in zip(result["random"], pooled["random"], strict=True):
        if theirs["term2"] is None:
            name = f"sd {theirs['group']} {theirs['term1']}"
            shift = ours["sd"] - theirs["sd"]
            rows.append((name, number(theirs["sd"]), "", f"{shift:+.2g}", ""))
    return aligned(rows, left=1)
