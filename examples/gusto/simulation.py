"""Runs a Flower app on a private SuperLink with the Simulation Engine."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_TIMEOUT = 60.0
CONNECTION = "demo"


class Simulation:
    """
    A SuperLink of its own, on a free port, in its own home; ended on exit.

    A SuperLink that ``flwr run`` starts by itself lives on, and serves later runs
    with the code and the environment of the first.

    Parameters
    ----------
    home : Path
        Flower's home for this run.
    nodes : int
        Number of SuperNodes to simulate, with one CPU each.
    """

    def __init__(self, home: Path, nodes: int) -> None:
        self.home = home
        self.nodes = nodes
        self.address = f"127.0.0.1:{_free_port()}"
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
        log = self.home / "superlink.log"
        command = ["flower-superlink", "--insecure", "--simulation"]
        command += ["--isolation", "subprocess", "--host", host, "--port", port]
        with log.open("wb") as file:
            self._superlink = subprocess.Popen(
                [self._script(command[0]), *command[1:]],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._await_superlink(log)
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

    def run(self, app: Path, config: Mapping[str, str | float | int]) -> int:
        """Submit an app, as ``flwr run APP`` does, and return the run's identifier."""
        simulated = f"num-supernodes={self.nodes} client-resources-num-cpus=1"
        answer = self._flwr(
            "run",
            str(app),
            CONNECTION,
            "--federation-config",
            simulated,
            "--run-config",
            " ".join(f"{key}={json.dumps(value)}" for key, value in config.items()),
        )
        return int(answer["run-id"])

    def status(self, run: int) -> tuple[str, str]:
        """Status of a run, and its details: ``flwr run`` exits 0 even on failure."""
        answer = self._flwr("ls", CONNECTION, "--run-id", str(run))
        entry = answer["runs"][0]
        return str(entry["status"]), str(entry.get("status-details", ""))

    def _flwr(self, command: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [self._script("flwr"), command, *arguments, "--format", "json"],
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

    def _script(self, name: str) -> str:
        return str(Path(sysconfig.get_path("scripts")) / name)

    def _await_superlink(self, log: Path) -> None:
        """Wait until the SuperLink serves; registering earlier fails."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until:
            if self._superlink.poll() is not None:
                break
            try:
                with direct.open(f"http://{self.address}/health", timeout=2):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.2)
        sys.exit(f"the SuperLink did not start; its log is {log}")

    def _end(self) -> None:
        """End the SuperLink and what it started: all are of one process group."""
        for stop in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._superlink.pid, stop)
            except ProcessLookupError:
                return
            try:
                self._superlink.wait(timeout=15)
            except subprocess.TimeoutExpired:
                continue


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
