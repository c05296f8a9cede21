"""Runs a Flower app on a private SuperLink, which is ended with what it started."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_TIMEOUT = 60.0
CONNECTION = "demo"


class PrivateSuperLink:
    """
    A SuperLink of its own, on a free port, in its own home; ended on exit.

    A SuperLink that ``flwr run`` starts by itself lives on, and serves later runs
    with the code and the environment of the first.

    Parameters
    ----------
    home : Path
        Flower's home for this run.
    options : str
        Further options of ``flower-superlink``, such as ``--simulation``.
    """

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self._options = options
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address = f"127.0.0.1:{free_port()}"
        scripts = sysconfig.get_path("scripts")
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            # One thread for each simulated site: they share the machine's cores.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            # Requests to the loopback interface go through no proxy.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "config.toml").write_text(
            f'[superlink]\ndefault = "{CONNECTION}"\n\n'
            f"[superlink.{CONNECTION}]\n"
            f'address = "{self.address}"\ninsecure = true\n',
            encoding="utf-8",
        )
        host, port = self.address.split(":")
        try:
            self.start(
                *("flower-superlink", "--insecure", "--isolation", "subprocess"),
                *("--host", host, "--port", port, *self._options),
            )
            self._await()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def start(self, name: str, *arguments: str) -> None:
        """Start one of Flower's programs, which is ended with the SuperLink."""
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [_script(name), *arguments],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def run(
        self, app: Path, config: Mapping[str, str | float | int], *, nodes: int = 0
    ) -> int:
        """
        Submit an app, as ``flwr run APP`` does.

        Parameters
        ----------
        app : Path
            Folder of the app.
        config : mapping
            The run configuration.
        nodes : int
            Number of SuperNodes to simulate, with one CPU each; 0 for real ones.

        Returns
        -------
        int
            The run's identifier.
        """
        simulated = f"num-supernodes={nodes} client-resources-num-cpus=1"
        options = ["--federation-config", simulated] if nodes else []
        values = " ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
        answer = self.flwr("run", str(app), CONNECTION, *options, "-c", values)
        return int(answer["run-id"])

    def status(self, run: int) -> tuple[str, str]:
        """Status of a run, and its details: ``flwr run`` exits 0 even on failure."""
        answer = self.flwr("ls", CONNECTION, "--run-id", str(run))
        entry = answer["runs"][0]
        return str(entry["status"]), str(entry.get("status-details", ""))

    def flwr(self, command: str, *arguments: str) -> dict[str, Any]:
        """Call ``flwr COMMAND`` and return its answer; exit if it reports an error."""
        done = subprocess.run(
            [_script("flwr"), command, *arguments, "--format", "json"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        text = done.stdout
        answer = json.loads(text[text.find("{") :] or "{}") if "{" in text else {}
        if not answer.get("success"):
            sys.exit(f"flwr {command} failed:\n{done.stdout}{done.stderr}")
        return dict(answer)

    def _await(self) -> None:
        """Wait until the SuperLink serves; registering earlier fails."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until and self._processes[0].poll() is None:
            try:
                with direct.open(f"http://{self.address}/health", timeout=2):
                    return
            except OSError:  # refused, reset, timed out
                time.sleep(0.2)
        log = self.home / "flower-superlink.log"
        sys.exit(f"the SuperLink did not start; its log is {log}")

    def _end(self) -> None:
        """End every program and all that it started, politely first."""
        groups = _process_groups({process.pid for process in self._processes})
        for stop, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            for group in groups:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, stop)
            until = time.monotonic() + patience
            while groups and time.monotonic() < until:
                for process in self._processes:
                    process.poll()  # a child that has ended is gone when it is asked
                groups = {group for group in groups if _alive(group)}
                time.sleep(0.1)
        self._processes.clear()


def _process_groups(parents: set[int]) -> set[int]:
    """Groups of processes and their descendants: Flower starts groups of its own."""
    rows = _process_table()
    family, groups = set(parents), set(parents)
    while found := {row for row in rows if row[1] in family and row[0] not in family}:
        family |= {pid for pid, _, _ in found}
        groups |= {group for _, _, group in found}
    return groups


def _process_table() -> list[tuple[int, int, int]]:
    """Process, parent and group of all processes: from /proc, else from ps."""
    rows = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended while we were reading
            after_name = stat.read_text(errors="replace").rpartition(")")[2].split()
            rows.append((int(stat.parent.name), int(after_name[1]), int(after_name[2])))
    if rows:
        return rows
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid="]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in listing.stdout.splitlines():
        pid, parent, group = map(int, line.split())
        rows.append((pid, parent, group))
    return rows


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _script(name: str) -> str:
    """One of the environment's own programs, whatever PATH says."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
