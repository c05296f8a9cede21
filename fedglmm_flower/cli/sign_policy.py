"""``fedglmm site sign-policy``: a changed ``site.toml`` is put in force."""

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.passphrases import (
    FileOption,
    VariableOption,
    passphrase_for,
)
from fedglmm_flower.envelope import read_identity
from fedglmm_flower.envelope.manifest import write_time
from fedglmm_flower.envelope.policy_versions import (
    POLICY_VERSIONS,
    read_versions,
    sign_version,
)
from fedglmm_flower.errors import PolicyError
from fedglmm_flower.flower.admission import utc_now
from fedglmm_flower.site import SiteConfig, read_site_config
from fedglmm_flower.site.kept import note_memory, require_memory


def sign_policy(
    config: Annotated[Path, typer.Argument(help="site.toml")] = Path("site.toml"),
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """
    Sign site.toml as it stands, as the next version of the policy.

    The version goes to policy-versions.toml beside it. From then on the site answers
    only while site.toml is the file that was signed last, to the byte.
    """
    here = read_site_config(config)
    now = utc_now()
    if here.expires is not None and now.date() > here.expires:
        raise PolicyError(
            f"{config}: 'expires' of [policy] is {here.expires}, and the clock here "
            f"says {now.date()}; a day that is not over is required; set a later one, "
            "or correct the clock"
        )
    key = here.identity_path
    signer = read_identity(key, passphrase_for(key, passphrase_file, passphrase_env))
    if signer.name != here.site:
        raise PolicyError(
            f"{config}: names the site {here.site!r} and a key of {signer.name!r}; the "
            "site's own key is required; correct 'site' or 'identity'"
        )
    path = config.parent / POLICY_VERSIONS
    before = [version.digest for version in read_versions(path)]
    # Neither a memory that was lost nor a chain that was cut is gone on with.
    require_memory(here.memory, here.answers)
    here.memory.require_policy(before)
    version = sign_version(path, here.digest, signer, now)
    here.memory.hold_policy([one.digest for one in read_versions(path)])
    note_memory(here.memory, here.answers)
    new = "" if version.number > len(before) else " before"
    typer.echo(
        f"{path}: version {version.number} of the policy was signed{new}, "
        f"{write_time(version.at)}, digest {version.digest[:16]}..., of a site.toml "
        f"with digest {version.policy[:16]}..."
    )


def version_words(here: SiteConfig, config: Path) -> str:
    """Which version of the policy stands there, for a preview; checks no signature."""
    if here.expires is None:
        return _signed_words(here, config)
    if utc_now().date() > here.expires:
        return f"expired after {here.expires}: nothing is sent"
    return f"{_signed_words(here, config)}, until {here.expires}"


def _signed_words(here: SiteConfig, config: Path) -> str:
    known = read_versions(config.parent / POLICY_VERSIONS)
    try:
        here.memory.require_policy([version.digest for version in known])
    except PolicyError as error:
        return f"{error}; nothing is sent"
    if not known:
        return (
            "not signed, and must be: nothing is sent" if here.signed else "not signed"
        )
    last = known[-1]
    if last.policy != here.digest:
        return f"not as signed in version {last.number}: nothing is sent"
    signed = f"version {last.number}, signed {write_time(last.at)}"
    return f"{signed}, digest {last.digest[:16]}..."
