"""A private PostgreSQL server on the loopback interface, for as long as it is used."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

OWNER, SECRET = "owner", "o'wner s3cret%40"
READER, PASSWORD = "reader", "r3ader:p@ss/w%rd"
# PostgreSQL refuses to run as root; Debian's packages make this user.
ACCOUNT = "postgres"


@dataclass(frozen=True)
class Server:
    """A running server with a table's owner and a user that may only read."""

    port: int

    @property
    def url(self) -> str:
        """What a site writes down."""
        return f"postgresql://{READER}@127.0.0.1:{self.port}/registry"

    def execute(self, statement: str, values: Any = None) -> None:
        """Do something as the owner."""
        with self.connect() as connection:
            connection.execute(statement.encode(), values)

    def connect(self, database: str = "registry") -> "psycopg.Connection[Any]":
        """A session of the owner."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=OWNER,
            password=SECRET,
            dbname=database,
            autocommit=True,
        )

    def fill(self, name: str, columns: dict[str, str], rows: Any) -> None:
        """Make a table of named columns and types, in place of an older one."""
        parts = [f"{_quoted(column)} {kind}" for column, kind in columns.items()]
        self.execute(f"DROP TABLE IF EXISTS {_quoted(name)}")
        self.execute(f"CREATE TABLE {_quoted(name)} ({', '.join(parts)})")
        with (
            self.connect() as connection,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {_quoted(name)} FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def programs() -> Path | None:
    """Folder of the newest ``initdb`` and ``postgres``; None if there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]),
    )
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).resolve().parent if elsewhere else None


@contextmanager
def running() -> Iterator[Server]:
    """Start a server in a folder of its own; skips where none can be."""
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("needs PostgreSQL's server programs (apt install postgresql)")
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        if ACCOUNT not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("PostgreSQL does not run as root, and no other user is there")
        account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}
    # Not in pytest's folder: another user could not enter it, and the path of a
    # socket is short.
    base = Path(tempfile.mkdtemp(prefix="fedglmm-pg-", dir="/tmp"))
    try:
        base.chmod(0o755)
        if account:
            shutil.chown(base, ACCOUNT, ACCOUNT)
        (base / "secret").write_text(SECRET)
        (base / "secret").chmod(0o644)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        subprocess.run(
            [
                bin_folder / "initdb",
                *("--pgdata", base / "data", "--username", OWNER),
                *("--auth=scram-sha-256", "--pwfile", base / "secret"),
                *("--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=base,
            **account,
        )
        with (base / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    bin_folder / "postgres",
                    *("-D", base / "data", "-k", base, "-p", str(port)),
                    *("-h", "127.0.0.1", "-c", "fsync=off"),
                ],
                stdout=log,
                stderr=log,
                cwd=base,
                **account,
            )
        try:
            server = Server(port)
            _wait(server, base / "log")
            with server.connect("postgres") as connection:
                connection.execute("CREATE DATABASE registry")
                connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
            server.execute(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA public "
                f"GRANT SELECT ON TABLES TO {READER}"
            )
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown
            process.wait(30)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _wait(server: Server, log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            server.connect("postgres").close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        else:
            return
