"""48 hospital groups fit one mixed model in one round, on Flower's Simulation Engine.

Run with ``make demo``, or ``python -m examples.gusto.demo`` from the repository.
"""

import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from examples.gusto.federation import make_federation
from examples.gusto.superlink import PrivateSuperLink

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTPUT = ROOT / "demo-output"
DEADLINE = 600.0


def main() -> int:
    """Make the sites, run the round, show the estimates beside the pooled fit."""
    started = time.monotonic()
    console = Console(highlight=False)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    console.print("[bold]GUSTO-I[/]: 40,830 patients in 48 hospital groups")
    study = make_federation(HERE / "gusto.csv", OUTPUT / "federation")
    console.print(f"  model    {study.formula}")
    console.print(f"  family   {study.family}, {study.link} link")
    console.print(
        f"  study    {study.digest[:16]}..., {study.release_set}:{study.order}"
    )
    console.print(f"  sites    {len(study.sites)}, each with its own folder and key")
    with PrivateSuperLink(OUTPUT / "flower-home", "--simulation") as superlink:
        console.print(f"  Flower   Simulation Engine on {superlink.address}")
        folder = OUTPUT / "federation"
        run = superlink.run(
            ROOT,
            {
                "study": str(folder / "keys" / "study.toml"),
                "keys-dir": str(folder / "keys"),
                "sites-dir": str(folder / "sites"),
                "run-dir": str(OUTPUT),
                "deadline": DEADLINE,
            },
            nodes=len(study.sites),
        )
        status, details = _follow(superlink, run, len(study.sites), console)
        if status != "finished:completed":
            return _explain(console, status, details, superlink.home)
    result = json.loads((OUTPUT / "result.json").read_text(encoding="utf-8"))
    reference = json.loads((HERE / "gusto.json").read_text(encoding="utf-8"))
    _show(console, result, reference["fits"][0])
    stored = len(list((folder / "sites").glob("*/inbox/estimates.json")))
    console.print(f"\n{stored} sites have stored the estimates they received.")
    console.print(f"result   {OUTPUT.name}/result.json")
    console.print(f"sealed   {OUTPUT.name}/sealed/SITE.sealed")
    console.print(f"a site   {OUTPUT.name}/federation/sites/1/")
    timing = result["timing"]
    console.print(
        f"{time.monotonic() - started:.0f} s in all: summaries "
        f"{timing['summarise_s']:.0f} s, pseudo-data {timing['pseudodata_s']:.0f} s, "
        f"fit {timing['fit_s']:.0f} s"
    )
    if not result["converged"]:
        console.print("[bold red]the fit has not converged[/]")
    return 0 if result["converged"] else 4


def _follow(
    superlink: PrivateSuperLink, run: int, sites: int, console: Console
) -> tuple[str, str]:
    """Wait for the end of a run, telling what the coordinator does."""
    last, next_look = "", 0.0
    with console.status("starting the nodes") as line:
        while True:
            now = _stage(sites)
            if console.is_terminal:
                line.update(now)
            elif now != last:
                console.print(f"  {now}")
            last = now
            if time.monotonic() >= next_look:
                status, details = superlink.status(run)
                if status.startswith("finished"):
                    return status, details
                next_look = time.monotonic() + 2.0
            time.sleep(0.2)


def _stage(sites: int) -> str:
    """What the coordinator is doing, from a file that it keeps in the run's folder."""
    try:
        step = json.loads((OUTPUT / "progress.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"starting {sites} SuperNodes"
    words = {
        "gather": "SuperNodes online",
        "summarise": "sealed summaries received",
        "pseudo-data": "summaries turned into pseudo-data",
        "fit": "fits",
        "broadcast": "sites have stored the estimates",
    }
    what = words.get(step["stage"], str(step["stage"]))
    if not sys.stdout.isatty():  # a line for each stage, not for each step
        return what
    return f"{what}: {step['done']} of {step['total']}"


def _explain(console: Console, status: str, details: str, home: Path) -> int:
    """Say why a run failed, and where more is written."""
    console.print(f"\n[bold red]the run ended as {status}[/]: {details}")
    for log in (OUTPUT / "coordinator.log", home / "flower-superlink.log"):
        if log.exists():
            console.print(f"\n{log}:\n{log.read_text(encoding='utf-8')[-3000:]}")
    return 1


def _show(console: Console, result: dict[str, Any], pooled: dict[str, Any]) -> None:
    """The federated estimates beside the pooled lme4 fit."""
    table = Table(
        box=box.SIMPLE_HEAD, title="one round, beside lme4 on the pooled table"
    )
    table.add_column("coefficient")
    for name in ("one round", "SE", "pooled", "SE", "shift", "in SE"):
        table.add_column(name, justify="right")
    for ours, theirs in zip(result["fixed"], pooled["fixed"], strict=True):
        difference = ours["estimate"] - theirs["estimate"]
        table.add_row(
            ours["name"],
            f"{ours['estimate']:.5f}",
            f"{ours['se']:.5f}",
            f"{theirs['estimate']:.5f}",
            f"{theirs['se']:.5f}",
            f"{difference:+.5f}",
            f"{difference / theirs['se']:+.3f}",
        )
    sd, pooled_sd = result["random"][0]["sd"], pooled["random"][0]["sdcor"]
    difference = f"{sd - pooled_sd:+.5f}"
    table.add_row("sd (site)", f"{sd:.5f}", "", f"{pooled_sd:.5f}", "", difference, "")
    console.print(table)
    used = [site for site in result["sites"] if site["status"] == "used"]
    sent = [site["bytes_sent"] for site in used]
    counts = sorted({site["statistics"] for site in used})
    console.print(
        f"{len(used)} of {len(result['sites'])} sites used; each sent "
        f"{' or '.join(map(str, counts))} statistics once, in {min(sent):,} to "
        f"{max(sent):,} encrypted bytes."
    )
    for site in result["sites"]:
        if site["status"] != "used":
            console.print(f"  site {site['site']}: {site['status']}")


if __name__ == "__main__":
    # To be terminated is to be interrupted: Flower's programs are ended either way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
