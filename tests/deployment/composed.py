"""docker/compose.yaml without Docker: what a container would start, as a process."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from examples.gusto.superlink import free_port
from tests.deployment.guide import ROOT

FOLDER = ROOT / "docker"
VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")


def load() -> dict[str, Any]:
    """The compose file, with variables at their defaults."""
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(VARIABLE.sub(r"\1", text)))


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile: the word, and the rest of the line."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (x.partition(" ") for x in lines)]


def environment() -> dict[str, str]:
    """Variables of the images."""
    pairs = [shlex.split(rest) for word, rest in instructions() if word == "ENV"]
    return dict(item.split("=", 1) for line in pairs for item in line)


def entry_points() -> dict[str, list[str]]:
    """Entry point of each target."""
    found: dict[str, list[str]] = {}
    target = ""
    for word, rest in instructions():
        if word == "FROM":
            target = rest.split(" AS ")[1]
        elif word == "ENTRYPOINT":
            found[target] = yaml.safe_load(rest)
    return found


@dataclass(frozen=True)
class Composed:
    """
    The services of the compose file, on folders and ports of this machine.

    Parameters
    ----------
    root : Path
        Stands for the folder of the compose file.
    ports : mapping
        A free port for each ``SERVICE:PORT``.
    """

    root: Path
    ports: dict[str, int]

    @property
    def services(self) -> dict[str, Any]:
        """All services."""
        return dict(load()["services"])

    def command(self, name: str) -> list[str]:
        """What the container of a service starts."""
        service = self.services[name]
        entry = (
            service.get("entrypoint")
            or entry_points()[
                service["image"].partition(":")[0].removeprefix("fedglmm-")
            ]
        )
        return [self.put(word, name) for word in [*entry, *service["command"]]]

    def health(self, name: str) -> list[str]:
        """What asks a service whether it is well."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return [self.put(word, name) for word in words]

    def home(self, name: str) -> dict[str, str]:
        """The image's environment for a service."""
        return {key: self.put(value, name) for key, value in environment().items()}

    def put(self, text: str, name: str) -> str:
        """A text of a service with this machine's paths and ports in it."""
        if text.startswith("--node-config="):
            name = name.replace("-node", "-app")  # the ClientApp reads this path
        for inside, outside in sorted(self.mounts(name).items(), reverse=True):
            text = re.sub(rf"(?<![\w./]){re.escape(inside)}(?=$|[/\"])", outside, text)
        assert "/run/secrets/" not in text, f"{name}: {text} is not among its secrets"
        node = name.partition("-")[0] + "-node"
        for host, there in (("relay", "relay"), ("node", node)):
            for port in (8000, 9094):
                text = text.replace(f"{host}:{port}", f"localhost:{self.port(there)}")
        for port in (8000, 9094, 9098):
            number = str(self.port(name if port != 9098 else f"{name}+health"))
            text = re.sub(rf"\b{port}\b", number, text)
        return text.replace("0.0.0.0", "127.0.0.1")

    def port(self, name: str) -> int:
        """The port of this machine on which a service listens."""
        return self.ports.setdefault(name, free_port())

    def mounts(self, name: str) -> dict[str, str]:
        """Where the paths of a container are on this machine."""
        compose, service = load(), self.services[name]
        found = {"/app": str(ROOT)}
        for volume in service.get("volumes", ()):
            source, inside = volume.split(":")[:2]
            place = source if source.startswith("./") else f"volumes/{source}"
            found[inside] = str((self.root / place).absolute())
        for secret in service.get("secrets", ()):
            source = secret if isinstance(secret, str) else secret["source"]
            target = secret if isinstance(secret, str) else secret["target"]
            file = compose["secrets"][source]["file"]
            found[f"/run/secrets/{target}"] = str((self.root / file).absolute())
        return found
