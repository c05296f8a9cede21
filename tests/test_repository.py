"""The repository keeps its own rules: rooms, sizes, versions, no machine paths."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fedglmm_flower"
ROOMS = (
    "errors",
    "study",
    "glmm",
    "site",
    "envelope",
    "coordinator",
    "report",
    "flower",
    "cli",
)
# Which room may import a library; every other room must not.
ONLY_IN = {
    "flwr": {"flower"},
    "ray": {"flower"},
    "cryptography": {"envelope"},
    "opendp": {"site", "cli"},
    "sqlalchemy": {"site"},
    "typer": {"cli"},
    "rich": {"cli"},
}
# What a room must not know.
NEVER_IN = {
    "flower": {"numpy", "scipy"},
    "cli": {"numpy", "scipy"},
    "envelope": {"numpy", "scipy", "pandas"},
}


def sources(*folders: str) -> Iterator[Path]:
    """Python files of the folders, caches left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path


@cache
def imported(path: Path) -> list[tuple[int, str]]:
    """Line and full dotted name of everything a file imports, at any depth."""
    package, found = path.relative_to(ROOT).with_suffix("").parts[:-1], []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def room(path: Path) -> str:
    """The room a file of the package belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tracked() -> list[Path]:
    """Files under version control, or all of a source archive."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    skipped = {".git", ".venv", "demo-output", "__pycache__"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not skipped.intersection(path.parts)
    ]


def test_every_file_of_the_package_is_in_a_known_room():
    """A new folder is a decision about the journey of the data, not an accident."""
    rooms = {room(path) for path in sources("fedglmm_flower")}

    assert rooms <= {*ROOMS, "__init__", "__main__"}


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_rooms_above_it(name):
    """The journey of the data runs one way."""
    above = ROOMS[: ROOMS.index(name) + 1]
    wrong = []
    for path in sources("fedglmm_flower"):
        if room(path) != name:
            continue
        for line, module in imported(path):
            parts = module.split(".")
            if parts[0] != "fedglmm_flower" or parts[1:] == ["__version__"]:
                continue
            if len(parts) < 2 or parts[1] not in above:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")

    assert wrong == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_only_by_its_room(library):
    """Flower, cryptography and the terminal each have one door."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources("fedglmm_flower")
        for line, module in imported(path)
        if module.split(".")[0] == library and room(path) not in ONLY_IN[library]
    ]

    assert wrong == []


@pytest.mark.parametrize("name", NEVER_IN)
def test_a_room_does_not_know_what_it_must_not(name):
    """Transport and command line compute nothing."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(f"fedglmm_flower/{name}")
        for line, module in imported(path)
        if module.split(".")[0] in NEVER_IN[name]
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("module", "origin"),
    [
        ("site_app/client_app.py", "fedglmm_flower.flower.client.app"),
        ("coordinator_app/server_app.py", "fedglmm_flower.flower.server.app"),
    ],
)
def test_an_app_only_re_exports_its_app(module, origin):
    """The Flower components are doors; behind them stands the package."""
    path = ROOT / module
    body = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]

    assert [type(node) for node in body] == [ast.ImportFrom, ast.Assign]
    assert [name for _, name in imported(path)] == [origin]
    assert ast.unparse(body[1]) == "__all__ = ['app']"


def test_no_file_is_longer_than_400_lines():
    """A longer file holds more than one idea."""
    folders = ("fedglmm_flower", "site_app", "coordinator_app", "tests", "examples")
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*folders, "benchmarks")
    }

    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_versions_agree():
    """pyproject, the package and the changelog tell the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    init = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    in_init = re.search(r'^__version__ = "(.+)"$', init, re.MULTILINE)
    in_changelog = re.search(r"^## \[(\d.+?)\]", changelog, re.MULTILINE)

    assert in_init is not None
    assert in_changelog is not None
    assert project["project"]["version"] == in_init[1] == in_changelog[1]


def test_flower_versions_agree():
    """The app's target is the oldest Flower that the package accepts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    target = project["tool"]["flwr"]["app"]["flwr-version-target"]
    (flower,) = [d for d in project["project"]["dependencies"] if d.startswith("flwr")]

    assert f">={target.removesuffix('.0')}," in flower


def test_no_tracked_file_names_a_path_of_some_machine():
    """What is written here holds on every machine."""
    pattern = re.compile(r"(?<![\w.~-])/(?:work|home|root|Users)/\w")
    wrong = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, line in enumerate(text.splitlines(), start=1)
            if pattern.search(line)
        ]

    assert wrong == []


def test_the_package_is_cheap_to_import():
    """`import fedglmm_flower` loads no library, so that `fedglmm --help` is quick."""
    code = "import fedglmm_flower, sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True
    )
    loaded = set(done.stdout.decode().split())

    assert loaded.isdisjoint({"flwr", "numpy", "scipy", "pandas", "cryptography"})
