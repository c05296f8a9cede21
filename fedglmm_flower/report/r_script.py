"""A fit as a table and a script for R."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.rows import ModelRows, RandomTerm
from fedglmm_flower.report.pseudo_rows import rows_behind

TABLE = "pseudo-data.csv"
SCRIPT = "refit.R"

_SCRIPT = """\
# Refit of a one-round federated model to its pseudo-data, with glmmTMB.
# These rows are no records: their sums are those that the sites released.
# lme4 treats fractional weights and responses in another way; glmmTMB's weights
# multiply the log-likelihood, as ours do.
#   Rscript {script}
suppressPackageStartupMessages(library(glmmTMB))
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
file <- gsub("~+~", " ", file, fixed = TRUE)  # what Rscript makes of a space
folder <- if (length(file)) dirname(file) else "."
rows <- read.csv(
  file.path(folder, "{table}"), encoding = "UTF-8",
  colClasses = c({classes}))
{groups}
# Fractional responses are what pseudo-data have; R says so for each row.
fitted <- withCallingHandlers(
  glmmTMB(
    {formula},
    data = rows, family = {family}, weights = rows${weights}{reml}),
  warning = function(w)
    if (grepl("non-integer", conditionMessage(w))) invokeRestart("muffleWarning"))

ours <- data.frame(
  name = c({names}),
  estimate = c({estimates}),
  se = c({errors}))
found <- summary(fitted)$coefficients$cond
fixed <- data.frame(
  Estimate = found[, 1], Std.Error = found[, 2], z = found[, 3], p = found[, 4],
  fedglmm = ours$estimate, shift = found[, 1] - ours$estimate)
ours_sd <- data.frame(
  effect = c({sd_names}),
  fedglmm = c({sds}))
found_sd <- unlist(lapply(VarCorr(fitted)$cond, function(m) attr(m, "stddev")))
cat("Fixed effects ({kind}):\\n")
print(cbind(column = ours$name, format(fixed, digits = 6)), row.names = FALSE)
if (length(found_sd)) {{
  cat("\\nStandard deviations of the random effects:\\n")
  print(cbind(effect = ours_sd$effect,
    format(data.frame(Std.Dev. = unname(found_sd), fedglmm = ours_sd$fedglmm),
           digits = 6)), row.names = FALSE)
}}
shift <- max(abs(fixed$shift) / ours$se, na.rm = TRUE)
cat(sprintf("\\nLargest shift of an estimate: %.2g standard errors\\n", shift))
"""


@dataclass(frozen=True)
class Export:
    """
    What is written for R.

    Parameters
    ----------
    table : str
        Pseudo-data, as CSV.
    script : str
        R code that refits it and prints the same table.
    """

    table: str
    script: str


def export_for_r(fitted: FittedModel) -> Export:
    """
    Pseudo-data of a fit and a script that refits them with glmmTMB.

    The script holds model columns by number, and every name of study or site only as
    an escaped string: no name can become code.

    Parameters
    ----------
    fitted : FittedModel
        Gaussian, binomial or Poisson.

    Raises
    ------
    UsageError
        If R cannot fit such rows to the same estimates.
    """
    rows = rows_behind(fitted)
    sds = [
        (f"{term.group} {name}", float(sd))
        for term in fitted.random
        for name, sd in zip(term.names, term.sd, strict=True)
    ]
    by = "Laplace approximation"
    if fitted.family == "gaussian":
        by = fitted.method.upper()
    groups = [
        f"rows$g{k} <- factor(rows$g{k}, levels = unique(rows$g{k}))"
        for k, _ in enumerate(rows.random, start=1)
    ]
    heads = _heads(rows, fitted.family)
    classes = ['"character"' if head[0] == "g" else '"numeric"' for head in heads]
    return Export(
        _table(rows, fitted.family, heads),
        _SCRIPT.format(
            script=SCRIPT,
            table=TABLE,
            classes=", ".join(classes),
            groups="\n".join(groups),
            formula=_formula(rows, fitted.family),
            family=f'{fitted.family}("{fitted.link}")',
            weights="w",
            reml=", REML = TRUE" if fitted.method == "reml" else "",
            names=", ".join(map(r_string, fitted.names)),
            estimates=_vector(fitted.estimates),
            errors=_vector(fitted.se),
            sd_names=", ".join(r_string(name) for name, _ in sds),
            sds=_vector([sd for _, sd in sds]),
            kind=f"glmmTMB, {by}",
        ),
    )


def _vector(values: Sequence[float] | np.ndarray) -> str:
    return ", ".join(repr(float(v)) if np.isfinite(v) else "NA" for v in values)


def r_string(text: str) -> str:
    r"""
    A string of R, whatever the text holds.

    Examples
    --------
    >>> print(r_string('a"\\é'))
    "a\"\\\u00e9"
    """
    out = []
    for letter in text:
        code = ord(letter)
        if letter in '"\\':
            out.append(f"\\{letter}")
        elif 32 <= code < 127:
            out.append(letter)
        elif code:  # R has no string with a zero in it
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(out)}"'


def _heads(rows: ModelRows, family: str) -> list[str]:
    heads = ["y", "w", "offset"] + (["trials"] if family == "binomial" else [])
    heads += [f"x{j}" for j, _ in enumerate(rows.names, start=1)]
    for k, term in enumerate(rows.random, start=1):
        heads.append(f"g{k}")
        heads += [f"z{k}_{j}" for j, _ in enumerate(term.names, start=1)]
    return heads


def _formula(rows: ModelRows, family: str) -> str:
    left = "cbind(y, trials - y)" if family == "binomial" else "y"
    terms = [f"x{j}" for j, _ in enumerate(rows.names, start=1)]
    if rows.offset.any():
        terms.append("offset(offset)")
    for k, term in enumerate(rows.random, start=1):
        columns = " + ".join(f"z{k}_{j}" for j, _ in enumerate(term.names, start=1))
        kind = "us" if term.correlated or len(term.names) == 1 else "diag"
        terms.append(f"{kind}(0 + {columns} | g{k})")
    return f"{left} ~ 0 + {' + '.join(terms)}"


def _table(rows: ModelRows, family: str, heads: list[str]) -> str:
    columns: list[Sequence[object]] = [
        rows.response.tolist(),
        rows.weights.tolist(),
        rows.offset.tolist(),
    ]
    columns += [rows.trials.tolist()] if family == "binomial" else []
    columns += (rows.basis @ rows.coefficients.T).T.tolist()
    for term in rows.random:
        columns += [_labels(term), *term.Z.T.tolist()]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def _labels(term: RandomTerm) -> list[str]:
    """Names of clusters; one that a spreadsheet would take for a formula is quoted."""
    safe = [f"'{level}" if level[:1] in "=+-@\t\r" else level for level in term.levels]
    return [safe[at] for at in term.index]
