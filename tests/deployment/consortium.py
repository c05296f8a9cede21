"""A relay, a coordinator and three sites on the loopback interface, by the guide."""

import json
import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from examples.gusto.superlink import _alive, _process_groups, free_port
from tests.deployment.guide import ROOT, Block, blocks, only

SITES = ("north", "south", "east")
PLACE = "/srv/fedglmm"
LOOK = 2.0  # seconds between two calls of ``flwr``, each of which takes one of a core
ACTIVE = "SuperNode ID:"  # what a SuperNode says when the relay has let it in
SCP = re.compile(r"\bscp (.+?) (\S+)\.example\.org:" + PLACE + r"(/\S*?)(;?)(?=\s|$)")


@dataclass
class Consortium:
    """
    Machines as folders; what the guide says is run in them.

    Parameters
    ----------
    root : Path
        Holds a folder for each machine.
    """

    root: Path
    relay_port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)
    _runs: dict[int, Path] = field(default_factory=dict)

    def folder(self, machine: str) -> Path:
        """What is /srv/fedglmm on a machine; made with its programs."""
        folder = self.root / machine
        if not folder.exists():
            (folder / "venv").mkdir(parents=True)
            (folder / "venv" / "bin").symlink_to(sysconfig.get_path("scripts"))
            (folder / "app").symlink_to(ROOT)
        return folder

    def put(self, text: str, machine: str) -> str:
        """The text with this machine's paths, names and ports in it."""

        def copied(found: re.Match[str]) -> str:
            what, host, path, end = found.groups()
            to = "$site" if host == "$site" else host
            return f"cp {what} {self.root}/{to}{path}{end}"

        text = SCP.sub(copied, text).replace(PLACE, str(self.folder(machine)))
        port = self._ports.setdefault(machine, free_port())
        changes = {
            "relay.example.org": "localhost",
            "0.0.0.0": "127.0.0.1",
            ":8000": f":{self.relay_port}",
            "--port 8000": f"--port {self.relay_port}",
            "9094": str(port),
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return text if machine not in SITES else re.sub(r"\bnorth\b", machine, text)

    def script(self, text: str, machine: str) -> list[str]:
        """Bash for a block in a new shell, as the guide opens one."""
        opened = "" if "flower.env <<" in text else only("shell")
        return ["bash", "-euc", self.put(f"{opened}\n{text}", machine)]

    def environment(self) -> dict[str, str]:
        """What a login gives, and no proxy."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
        away = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
        return {**kept, **away, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def run(self, text: str, machine: str, *, check: bool = True) -> str:
        """Paste a block at a machine; what it printed."""
        done = subprocess.run(
            self.script(text, machine),
            cwd=self.folder(machine),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        if check and done.returncode:
            raise AssertionError(f"{machine}: {text}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def start(self, text: str, machine: str, name: str = "") -> None:
        """Start the service of a machine; its output goes to a log."""
        *bash, script = self.script(text, machine)
        before, _, command = script.rpartition("\nflower-")
        with self.log(name or machine).open("ab") as log:
            self.running[name or machine] = subprocess.Popen(
                [*bash, f"{before}\nexec flower-{command}"],
                cwd=self.folder(machine),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """Output of a service."""
        return self.root / f"{name}.log"

    def paste(self, block: Block) -> None:
        """Do what a block says on every machine that it concerns."""
        several = {"everywhere": ("relay", "coordinator", *SITES), "site": SITES}
        machines: tuple[str, ...] = several.get(block.machine, (block.machine,))
        for machine in machines:
            self.folder(machine)  # who sends something finds the receiver
        if block.kind.startswith("service"):
            for machine in machines:
                self.start(block.text, machine)
        elif block.kind == "ready":
            self.await_relay()
        else:
            with ThreadPoolExecutor() as pool:
                list(pool.map(partial(self.run, block.text), machines))

    def await_relay(self) -> None:
        """Ask the relay whether it is ready until it is."""

        def ready() -> bool:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.relay_port)):
                    return False
            self.run(only("relay", "ready"), "relay")
            return True

        self.until(ready, "the relay is ready")

    def await_online(self, count: int = len(SITES)) -> None:
        """Wait until so many SuperNodes are online."""
        logs = [self.log(name) for name in self.running if name in SITES]
        # A look into files first.
        self.until(
            lambda: all(ACTIVE in log.read_text() for log in logs),
            "every SuperNode is known to the relay",
        )

        def online() -> bool:
            nodes = self.flwr("supernode ls study")["nodes"]
            return [node["status"] for node in nodes].count("online") == count

        self.until(online, f"{count} SuperNodes are online", pause=LOOK)

    def flwr(self, command: str) -> dict[str, Any]:
        """Answer of ``flwr`` at the coordinator."""
        said = self.run(f"flwr {command} --format json", "coordinator")
        return dict(json.loads(said[said.index("{") :]))

    def submit(self, folder: str, **config: float | str) -> int:
        """Start a run into a folder of the coordinator; its number."""
        place = self.folder("coordinator")
        values = {
            "study": str(place / "study.toml"),
            "keys-dir": str(place / "keys"),
            "run-dir": str(place / folder),
            **config,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (place / f"{folder}.toml").write_text("\n".join(lines) + "\n")
        run = int(self.flwr(f"run {PLACE}/app study -c {folder}.toml")["run-id"])
        self._runs[run] = place / folder
        return run

    def ended(self, run: int) -> tuple[str, str]:
        """Status and details of a run when it has ended."""
        entries: list[dict[str, Any]] = []
        # Either is written shortly before the end.
        place = self._runs[run]
        signs = (place / "result.json", place / "coordinator.log")
        self.until(lambda: any(map(Path.exists, signs)), f"run {run} has an outcome")

        def over() -> bool:
            entries[:] = self.flwr(f"ls study --run-id {run}")["runs"]
            return str(entries[0]["status"]).startswith("finished")

        self.until(over, f"run {run} is over", pause=LOOK)
        return str(entries[0]["status"]), str(entries[0].get("status-details", ""))

    def answered(self, folder: str) -> int:
        """Number of sites of which the coordinator knows what became."""
        text = (self.folder("coordinator") / folder / "progress.json").read_text()
        progress = json.loads(text)
        return int(progress["done"]) if progress["stage"] == "summarise" else 0

    def deadline(self) -> float:
        """
        Seconds in which all sites answer on this machine, with much to spare.

        A site answers when its ClientApp has started: seconds, or a minute on a machine
        that has other work.  The guide's own run has shown which.
        """
        return max(20.0, 4 * float(self.result("run")["timing"]["summarise_s"]))

    def result(self, folder: str) -> dict[str, Any]:
        """The result of a run."""
        path = self.folder("coordinator") / folder / "result.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def until(
        self,
        done: Callable[[], bool],
        what: str,
        patience: float = 600,
        pause: float = 0.2,
    ) -> None:
        """Wait for something, or fail with the logs: how long is not what is tested."""
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                logs = [path.read_text()[-2000:] for path in self.root.glob("*.log")]
                raise AssertionError("\n".join([f"not in time: {what}", *logs]))
            time.sleep(pause)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a service and all that it started."""
        for group in _process_groups({self.running[name].pid}):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)

    def kill(self, name: str) -> None:
        """End a service at once, as a power cut does."""
        groups = _process_groups({self.running[name].pid})
        self.signal(name, signal.SIGKILL)
        self.running.pop(name).wait(timeout=30)
        self.until(lambda: not any(map(_alive, groups)), f"{name} is gone", 30)

    def close(self) -> None:
        """End everything."""
        for name in list(self.running):
            self.kill(name)


def service(machine: str) -> str:
    """The command that starts a machine's service."""
    (block,) = [
        b for b in blocks() if b.machine == machine and b.kind.startswith("service")
    ]
    return block.text
