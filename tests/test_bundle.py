"""What travels to every site: the Flower app bundle."""

import io
import tomllib
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bundle() -> zipfile.ZipFile:
    """The app as ``flwr build`` packs it."""
    return zipfile.ZipFile(io.BytesIO(build_fab_from_disk(ROOT)))


def test_only_the_package_and_the_two_apps_travel(bundle):
    """No test, example, table, key or document rides along."""
    folders = {name.split("/")[0] for name in bundle.namelist()}
    packages = {"fedglmm_flower", "site_app", "coordinator_app"}

    assert folders == packages | {"pyproject.toml", "README.md", "LICENSE", ".info"}


def test_every_module_of_the_package_travels(bundle):
    """A site runs the bundle's copy, so no module may be missing in it."""
    names = set(bundle.namelist())
    missing = [
        path
        for path in (ROOT / "fedglmm_flower").rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in names
    ]

    assert missing == []


def test_the_package_needs_no_file_that_does_not_travel():
    """Flower bundles no other kinds of files: templates and tables must be modules."""
    others = [
        path
        for path in (ROOT / "fedglmm_flower").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    ]

    assert others in ([], [ROOT / "fedglmm_flower" / "py.typed"])


def test_the_wheel_holds_the_same_three_packages():
    """What pip installs is what Flower bundles."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel["packages"] == ["fedglmm_flower", "site_app", "coordinator_app"]
