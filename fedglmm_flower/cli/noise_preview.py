"""What a site with noise would send: told without reading a row."""

from typing import Any

from fedglmm_flower.site import Privacy
from fedglmm_flower.site.discrete_gaussian import noise_multiplier, zcdp_of
from fedglmm_flower.site.private_release import DISTANCE, require_private
from fedglmm_flower.study import Study


def noise_preview(study: Study, privacy: Privacy) -> dict[str, Any]:
    """
    Set, size, price and strength of the noise of an answer, from public quantities.

    ``noise_in_records`` is the standard deviation of the noise in units of the largest
    record that clipping leaves: how many such records would blur a sum as much.

    Raises
    ------
    StudyMismatchError, PolicyError
        If the study cannot be answered with noise.
    """
    name, order = require_private(study, privacy)
    multiplier = noise_multiplier(privacy.epsilon, privacy.delta)
    return {
        "study": study.digest,
        "release_set": name,
        "order": order,
        "clusters": len(privacy.clusters) if study.clusters else 1,
        "statistics": len(study.statistics(order, name)),
        "dataset": privacy.dataset,
        "epsilon": privacy.epsilon,
        "delta": privacy.delta,
        "relation": privacy.relation,
        "unit": privacy.unit_column or "row",
        "rho": zcdp_of(privacy.epsilon, privacy.delta),
        "bounds": {
            name: [study.model.columns[name].low, study.model.columns[name].high]
            for name in study.model.used_columns
            if study.model.columns[name].kind == "continuous"
        },
        "further": None if not study.rounds else "refused",
        "noise_in_records": multiplier * DISTANCE[privacy.relation],
    }


def noise_text(site: str, plain: dict[str, Any]) -> str:
    """The same for people."""
    return (
        f"site {site}: would send to study {plain['study'][:16]}..., with noise\n"
        f"  policy: {plain['policy']}\n"
        f"  {plain['release_set']} set, order {plain['order']}: {plain['statistics']} "
        f"numbers and a noisy count, for {plain['clusters']} cluster(s)\n"
        f"  epsilon {plain['epsilon']:g}, delta {plain['delta']:g}, relation "
        f"{plain['relation']}, protected unit: {plain['unit']}\n"
        f"  each number is blurred by about {plain['noise_in_records']:.1f} of the "
        "largest records\n"
        f"  costs rho {plain['rho']:.6f} of the budget of {plain['dataset']!r}, once\n"
        + "".join(
            f"  {name}: numbers are moved into {low:g} to {high:g}, as the study says\n"
            for name, (low, high) in plain["bounds"].items()
        )
        + (
            "  the study's further rounds are refused: no likelihood has noise\n"
            if plain["further"]
            else ""
        )
        + "  nothing of this was decided by a row, and none was read"
    )
