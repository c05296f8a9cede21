"""docker/: nothing refers to what is not there, and every command line works."""

import json
import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.command import fedglmm
from tests.deployment.comparing import check_deployed
from tests.deployment.composed import (
    FOLDER,
    Composed,
    entry_points,
    environment,
    instructions,
    load,
)
from tests.deployment.consortium import Consortium
from tests.deployment.guide import ROOT

SERVICE_KEYS = {
    *("image", "build", "entrypoint", "command", "depends_on", "networks", "ports"),
    *("secrets", "volumes", "healthcheck", "restart", "read_only", "tmpfs"),
    *("cap_drop", "security_opt", "user"),
}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
SITES = ("north", "south")


def names(values) -> set[str]:
    """Names in a list or mapping of references."""
    return {v if isinstance(v, str) else v["source"] for v in values or ()}


def test_the_compose_file_has_only_known_keys():
    """A misspelt key is an error of ``docker compose config``."""
    compose = load()
    top = {key for key in compose if not key.startswith("x-")}

    assert top == {"name", "services", "networks", "volumes", "secrets"}
    for service in compose["services"].values():
        assert set(service) <= SERVICE_KEYS
        assert set(service["healthcheck"]) == HEALTH_KEYS
        assert set(service.get("build", {})) <= {"context", "dockerfile", "target"}
    for network in compose["networks"].values():
        assert set(network) <= {"internal"}
    for secret in compose["secrets"].values():
        assert set(secret) == {"file"}


def test_every_reference_of_the_compose_file_exists_and_is_used():
    """Networks, volumes, secrets, services and targets."""
    compose = load()
    services = compose["services"]
    used: dict[str, set[str]] = {"networks": set(), "secrets": set(), "volumes": set()}
    for service in services.values():
        used["networks"] |= names(service["networks"])
        used["secrets"] |= names(service.get("secrets"))
        volumes = [volume.split(":")[0] for volume in service["volumes"]]
        used["volumes"] |= {v for v in volumes if not v.startswith("./")}
        assert set(service.get("depends_on", {})) <= set(services)
        if "build" in service:
            assert service["build"]["target"] in entry_points()
            assert (FOLDER / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert service["image"].startswith("fedglmm-")

    assert used == {kind: set(compose[kind]) for kind in used}


def test_containers_have_no_more_rights_than_they_need():
    """No root, no writable root file system, data and keys read-only."""
    compose = load()

    for name, service in compose["services"].items():
        assert service["user"] == "10001:10001"
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        for volume in service["volumes"]:
            if re.search(r"/(data|keys|study|nodes)(:|$)", volume):
                assert volume.endswith(":ro"), f"{name}: {volume}"
        if name.endswith("-app"):
            assert all(compose["networks"][n]["internal"] for n in service["networks"])
            assert "ports" not in service
    assert ("USER", "10001:10001") in instructions()
    base = next(rest for word, rest in instructions() if word == "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim AS base", base)


def test_what_the_dockerfile_copies_exists():
    """Everything that an image needs is in the repository, and Flower is silent."""
    for word, rest in instructions():
        if word == "COPY":
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources)
    assert environment()["FLWR_TELEMETRY_ENABLED"] == "0"
    assert set(entry_points()) == {"site", "relay", "coordinator"}


def lay_out(root: Path, consortium: Consortium, patients) -> Path:
    """The files of docker/README.md, from machines that followed the guide."""
    office, relay = consortium.folder("coordinator"), consortium.folder("relay")
    for folder in ("secrets", "coordinator/study", "coordinator/results"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(office / "keys", root / "coordinator/keys")
    shutil.copytree(office / "nodes", root / "coordinator/nodes")
    for name in ("ca.crt", "relay.crt", "relay.key", "runtime.secret"):
        shutil.copy(relay / name, root / "secrets" / name)
    rows = patients[patients["site"].isin(SITES)]
    rows.to_csv(root / "all.csv", index=False)
    study = root / "coordinator/study/study.toml"
    formula = "event ~ age + (1 | site)"
    options = ("--formula", formula, "--family", "binomial", "--out", study)
    drafted = fedglmm("study", "init", root / "all.csv", *options)
    digest = drafted.out.rpartition(": ")[2].strip()
    for site in SITES:
        shutil.copy(
            consortium.folder(site) / "node.key", root / f"secrets/{site}-node.key"
        )
        (root / f"secrets/{site}-site.secret").write_bytes(os.urandom(32))
        for folder in ("keys", "data"):
            shutil.copytree(consortium.folder(site) / folder, root / site / folder)
        text = (consortium.folder(site) / "site.toml").read_text()
        text = re.sub(r'approved = \["\w+"\]', f'approved = ["{digest}"]', text)
        (root / site / "site.toml").write_text(text)
    return study


def configure(composed: Composed) -> None:
    """What README.md wants in config.toml and run.toml."""
    place = composed.root / "coordinator"

    def put(text: str) -> str:
        return composed.put(text, "coordinator")

    (place / "config.toml").write_text(
        '[superlink]\ndefault = "study"\n[superlink.study]\n'
        f'address = "{put("relay:8000")}"\n'
        f'root-certificates = "{put("/run/secrets/ca.crt")}"\n'
    )
    (place / "study" / "run.toml").write_text(
        f'study = "{put("/study/study.toml")}"\nkeys-dir = "{put("/keys")}"\n'
        f'run-dir = "{put("/results")}"\ndeadline = 600.0\n'
    )
    home = Path(composed.home("coordinator")["FLWR_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(place / "config.toml", home)  # a file mounted into a volume


class Engine:
    """Does what ``docker compose`` would do with the lines of README.md."""

    def __init__(self, composed: Composed, consortium: Consortium) -> None:
        self.composed = composed
        # Its way to start, watch and end processes; none of its machines.
        self.host = Consortium(composed.root)
        self.login = consortium.environment()

    def environment(self, name: str) -> dict[str, str]:
        """Environment of a container."""
        bin_ = self.host.folder("host") / "venv" / "bin"
        path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
        return {**self.login, "PATH": path, **self.composed.home(name)}

    def well(self, name: str) -> bool:
        """Whether the health check of a service succeeds."""
        command = self.composed.health(name)
        done = subprocess.run(
            command, env=self.environment(name), capture_output=True, check=False
        )
        return done.returncode == 0

    def up(self, name: str) -> None:
        """Start a service after those that it depends on, which must be healthy."""
        if name in self.host.running:
            return
        for other in self.composed.services[name].get("depends_on", ()):
            self.up(other)
            self.host.until(partial(self.well, other), f"{other} is healthy")
        assert not self.well(name)
        home = Path(self.composed.home(name)["FLWR_HOME"])
        home.mkdir(parents=True, exist_ok=True)
        with self.host.log(name).open("wb") as log:
            self.host.running[name] = subprocess.Popen(
                self.composed.command(name),
                cwd=home,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.host.until(partial(self.well, name), f"{name} is healthy")

    def paste(self, line: str) -> None:
        """One line of README.md."""
        match line.split():
            case ["docker", "compose", "build"]:
                pass
            case ["docker", "compose", "up", "-d", *services]:
                for name in services:
                    self.up(name)
            case ["docker", "compose", "exec", name, *words]:
                command = [self.composed.put(word, name) for word in words]
                done = subprocess.run(
                    command,
                    env=self.environment(name),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            case _:
                raise AssertionError(line)


@pytest.mark.lengthy
@pytest.mark.network
@pytest.mark.timeout(900)
def test_the_lines_of_the_readme_end_in_the_result_of_simulate(
    consortium, patients, tmp_path
):
    """Entry points, commands, secrets, mounts and health checks, as processes."""
    study = lay_out(tmp_path, consortium, patients)
    composed = Composed(tmp_path, {})
    configure(composed)
    engine = Engine(composed, consortium)
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    out = tmp_path / "out"

    try:
        for line in block.splitlines():
            engine.paste(line)
        assert set(engine.host.running) == set(composed.services)
    finally:
        engine.host.close()
    ended = fedglmm("simulate", tmp_path / "all.csv", "--study", study, "--out", out)

    assert ended.status == 0, ended.err
    result = json.loads((tmp_path / "coordinator/results/result.json").read_text())
    expected = json.loads((out / "result.json").read_text())
    assert [site["status"] for site in result["sites"]] == ["used"] * 2
    check_deployed(result, expected)
