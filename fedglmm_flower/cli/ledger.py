"""``fedglmm ledger``: what was spent, on what, and whether the record is whole."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedglmm_flower.site.ledger import Ledger

app = typer.Typer(
    help="The privacy ledger of a site.", no_args_is_help=True, rich_markup_mode=None
)
_File = Annotated[Path, typer.Argument(help="The ledger, or the site.toml with it.")]


@app.command("show")
def show(ledger: _File = Path("site.toml")) -> None:
    """Show each dataset's budget and its entries."""
    from fedglmm_flower.site.discrete_gaussian import epsilon_of
    from fedglmm_flower.site.ledger_price import NANO

    found = _ledger(ledger)
    entries = found.entries()
    for dataset, balance in found.balances().items():
        spent = balance.spent_nano / NANO
        cap = balance.cap_nano / NANO
        typer.echo(
            f"{dataset}: epsilon {epsilon_of(spent, balance.delta):.3f} of "
            f"{epsilon_of(cap, balance.delta):.3f} spent at delta {balance.delta:g} "
            f"(rho {spent:.6f} of {cap:.6f})"
        )
        for entry in entries:
            if entry.dataset == dataset:
                price = f"rho {entry.rho_nano / NANO:.6f}" if entry.rho_nano else ""
                if "version" in entry.facts:
                    price = f"version {entry.facts['version']} of the policy"
                line = f"  {entry.seq:>5}  {entry.at}  {entry.kind:<8}"
                typer.echo(f"{line}{entry.request[:16]:<18}{price}".rstrip())


@app.command("verify")
def verify(ledger: _File = Path("site.toml")) -> None:
    """
    Check every entry, every stored answer, and the anchor beside the file.

    With site.toml also that the site's answers tell of no later entry.
    """
    entries = _ledger(ledger).entries()
    last = entries[-1]
    typer.echo(f"{len(entries)} entries, whole; the last is {last.seq} {last.hash}")


@app.command("export")
def export(ledger: _File = Path("site.toml")) -> None:
    """Print every entry as one line of JSON; no entry holds a statistic."""
    for entry in _ledger(ledger).entries():
        plain = asdict(entry)
        typer.echo(json.dumps({**plain, "body": entry.facts}, sort_keys=True))


def _ledger(given: Path) -> "Ledger":
    """The ledger, which the site's answers vouch for where ``site.toml`` is given."""
    from fedglmm_flower.site.ledger import Ledger

    if given.suffix != ".toml":
        return Ledger(given)
    from fedglmm_flower.errors import PolicyError
    from fedglmm_flower.site import read_site_config
    from fedglmm_flower.site.kept import require_ledger

    here = read_site_config(given)
    if here.ledger is None:
        raise PolicyError(
            f"{given}: switches no noise on; a ledger is required; name its file, or "
            "set [privacy]"
        )
    found = Ledger(here.ledger)
    require_ledger(found, here.answers)
    return found
