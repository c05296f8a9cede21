"""The commands that make a result again."""

import shlex
from collections.abc import Mapping
from typing import Any


def commands_of(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """
    What a command does, and the command.

    Parameters
    ----------
    result : mapping
        Content of ``result.json``.
    """
    study, privacy = result["study"], result["privacy"]
    seed = result["provenance"].get("seed")
    seeded = [] if seed is None else ["--seed", str(seed)]
    method = ["--method", result["method"]]
    if not result["random"] or privacy is not None:
        # Fitted by plain likelihood, or as noise asks, whatever is asked for.
        method = []
    again = ["fedglmm", "coordinator", "refit", "RUN", study["formula"]]
    whole = ["fedglmm", "simulate", "TABLE.csv", "--study", "RUN/study.toml"]
    noise = _noise(privacy)
    draws = (privacy or {}).get("bootstrap_draws")
    drawn = ["--bootstrap", str(draws)] if draws else []
    asked = result["diagnostics"].get("refinement", {}).get("asked")
    rounds = ["--rounds", asked] if asked else []
    first = "From the kept releases of the run, with the coordinator's key and no site"
    second = "From one table of all rows, where there is one"
    if rounds:
        first += "; before the further rounds"
    if noise:
        second += ", with noise drawn anew"
    else:
        second += "; under the policy of the sites, which --policy names"
    return (
        (first, shlex.join([*again, *method, *drawn, *seeded])),
        (
            second,
            shlex.join(
                [*whole, *method, *rounds, *noise, *drawn, *seeded, "--out", "again"]
            ),
        ),
    )


def _noise(privacy: Mapping[str, Any] | None) -> list[str]:
    """Noise as the first site added it; sites may differ."""
    if privacy is None:
        return []
    sites = [one for one in privacy.get("per_site", ()) if isinstance(one, dict)]
    norm = sites[0].get("clipping_norm") if sites else None
    words = [f"{privacy[key]:.15g}" for key in ("epsilon", "delta")]
    found = ["--epsilon", words[0], "--delta", words[1]]
    found += ["--relation", str(privacy["relation"])]
    if any(one.get("unit") == "unit" for one in sites):
        found += ["--unit", "PATIENT"]  # the column's name never left the sites
    return found + ([] if norm is None else ["--clipping-norm", f"{norm:.15g}"])
