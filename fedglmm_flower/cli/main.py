"""Entry point of ``fedglmm``: commands, and how every error ends."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import click
import typer
import typer.core

from fedglmm_flower import __version__
from fedglmm_flower.cli import coordinator, keys, ledger, privacy, site, study
from fedglmm_flower.cli.report import report
from fedglmm_flower.cli.simulate import simulate
from fedglmm_flower.errors import FedglmmError

app = typer.Typer(
    name="fedglmm",
    help="Federated generalized linear mixed models in one round.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("simulate")(simulate)
app.command("report")(report)
app.add_typer(study.app, name="study")
app.add_typer(keys.app, name="keys")
app.add_typer(site.app, name="site")
app.add_typer(coordinator.app, name="coordinator")
app.add_typer(ledger.app, name="ledger")
app.add_typer(privacy.app, name="privacy")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fedglmm-flower {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version.",
            # Eager, so that it needs no command behind it.
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
    _verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="Tell each stage with its time, also without a terminal."
        ),
    ] = False,
) -> None:
    """Federated generalized linear mixed models in one round."""


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the command and exit.

    Exit status: 0 done; 2 usage, bad study or bad data; 3 every site refused, or
    the site that is previewed would; 4 fitted but not converged; 5 quorum not reached;
    1 a defect of the program.
    """
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    # typer escapes brackets for rich wherever rich is installed, also where help is
    # plain text: "\[required]" would be shown.
    typer.core.HAS_RICH = False
    command = typer.main.get_command(app)
    try:
        status = command.main(
            None if arguments is None else list(arguments),
            prog_name="fedglmm",
            standalone_mode=False,
        )
        sys.exit(status if isinstance(status, int) else 0)
    except FedglmmError as error:
        _say(f"error [{error.code}]: {error.detail}")
        sys.exit(error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _say(_usage(error))
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _say("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        name = f"{error.filename or 'a file'}: "
        _say(
            f"error [file]: {name}{error.strerror or type(error).__name__}; a readable "
            "and writable place is required; check path, permissions and space"
        )
        sys.exit(2)
    except Exception as error:
        # A traceback could show rows: its text is for developers who ask for it.
        if os.environ.get("FEDGLMM_DEBUG"):
            raise
        _say(
            f"error [internal]: fedglmm: {type(error).__name__} was raised; this is a "
            "defect; set FEDGLMM_DEBUG=1 to see where, on data that may be seen, and "
            "report it"
        )
        sys.exit(1)


def _usage(error: click.ClickException) -> str:
    """What click found wrong with a command line, in the form of every other error."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = "fedglmm" if context is None else context.command_path
    found = " ".join(error.format_message().split()).rstrip(".")
    where = path.removeprefix("fedglmm").strip() or "fedglmm"
    return (
        f"error [usage]: {where}: {found}; arguments as the help describes them are "
        f"required; see '{path} --help'"
    )


def _say(text: str) -> None:
    typer.echo(f"fedglmm: {text}", err=True)
