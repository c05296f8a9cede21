"""A database that a site may read: its address, its password, one open reading."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site.sql_errors import data_free

if TYPE_CHECKING:
    import sqlalchemy as sa

_OTHERS = 0o077
_CONNECT_SECONDS = 20
_INSTALL = "pip install 'fedglmm-flower[postgresql]'"
_SECRETS = frozenset({"password", "passwd", "pwd", "sslpassword"})
# The first that a database offers: every batch of a reading sees the same rows.
_LEVELS = ("REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE")


@dataclass(frozen=True)
class Database:
    """
    Where a database is and how to log in; the password is read when it is needed.

    Parameters
    ----------
    url : str
        An address as SQLAlchemy writes it, without a password; see
        :func:`require_address`.
    password_env : str or None
        Variable that holds the password.
    password_file : Path or None
        File that holds it, readable by its owner only.  Without either the driver's
        own ways are left, such as ``PGPASSFILE`` or a certificate.
    seconds : float
        Longest time to wait for the database over one reading.
    """

    url: str
    password_env: str | None = None
    password_file: Path | None = None
    seconds: float = 600.0

    @property
    def name(self) -> str:
        """Name for local messages."""
        return Path(_parsed(self.url).database or "database").name

    def inside(self, base: Path) -> "Database":
        """The same with relative paths taken from a folder."""
        url, file = _parsed(self.url), self.password_file
        if url.get_backend_name() == "sqlite" and url.database:
            # Never made where it is missing, and never written.
            path = quote(str((base / url.database).resolve()))
            url = url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})
        shown = url.render_as_string(hide_password=False)
        return replace(self, url=shown, password_file=file and base / file)

    @contextmanager
    def reading(self) -> Iterator["sa.Connection"]:
        """
        A connection in one read-only transaction, which is always rolled back.

        Raises
        ------
        DataError
            If the database cannot be reached or refuses the login.
        PolicyError
            If the driver or the password is missing.
        """
        engine = self._engine()
        try:
            connection = data_free(self.name, engine.connect)
            try:
                data_free(self.name, lambda: self._begin(connection))
                yield connection
            finally:
                connection.close()
        finally:
            engine.dispose()

    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa  # noqa: PLC0415 - a site with files has no need of it

        url = _parsed(self.url)
        secret = self._password()
        if secret is not None:
            url = url.set(password=secret)
        options: dict[str, object] = {}
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
            options["connect_timeout"] = _CONNECT_SECONDS
            options["application_name"] = "fedglmm"
        try:
            return sa.create_engine(
                url, poolclass=sa.NullPool, connect_args=options, hide_parameters=True
            )
        except (ImportError, sa.exc.ArgumentError):
            missing = url.drivername
        raise PolicyError(
            f"{self.name}: the driver {missing!r} is not installed; a database is read "
            f"through SQLAlchemy and its driver; {_INSTALL} for PostgreSQL"
        )

    def _begin(self, connection: "sa.Connection") -> None:
        offered = connection.dialect.get_isolation_level_values(
            connection.connection.dbapi_connection  # type: ignore[arg-type] # open
        )
        level = next((level for level in _LEVELS if level in offered), None)
        if connection.dialect.name == "postgresql":
            connection.execution_options(
                isolation_level=level, postgresql_readonly=True
            )
            milliseconds = max(1, round(self.seconds * 1000))
            for setting in (
                f"statement_timeout = {milliseconds}",
                # All rows are read, and in the order of the last time if it may be.
                "cursor_tuple_fraction = 1",
                "synchronize_seqscans = off",
            ):
                connection.exec_driver_sql(f"SET LOCAL {setting}")
        elif level is not None:
            connection.execution_options(isolation_level=level)

    def _password(self) -> str | None:
        if self.password_env is not None:
            secret = os.environ.get(self.password_env, "")
            where = f"the variable {self.password_env}"
        elif self.password_file is not None:
            secret = _read_secret(self.password_file)
            where = str(self.password_file)
        else:
            return None
        if not secret:
            raise PolicyError(
                f"{where}: holds no password; the password of the database is "
                "required; set it, or take the key out of site.toml"
            )
        return secret


def require_address(url: str) -> None:
    """
    Check an address of ``site.toml``.

    Raises
    ------
    ValueError
        If it is none, holds a password, or asks for a driver that is not supported.
        No message quotes the address.
    PolicyError
        If SQLAlchemy is not installed.
    """
    parsed = _parsed(url)
    if parsed.password is not None or _SECRETS & {k.lower() for k in parsed.query}:
        raise ValueError(
            "holds a password; none may stand in site.toml; name a variable in "
            "password_env or a file in password_file, and change the password"
        )
    backend, driver = parsed.get_backend_name(), parsed.drivername.partition("+")[2]
    if backend == "postgresql" and driver not in ("", "psycopg"):
        raise ValueError("PostgreSQL is read by psycopg; write postgresql://...")


def _parsed(url: str) -> "sa.URL":
    try:
        import sqlalchemy as sa  # noqa: PLC0415 - see above
    except ImportError:
        raise PolicyError(
            f'SQLAlchemy is not installed; kind = "sql" requires it; {_INSTALL}'
        ) from None
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        pass  # their messages quote the address, which may hold a password
    raise ValueError(
        "is no address of a database; one such as "
        "postgresql://reader@db.example.org:5432/registry is required"
    )


def _read_secret(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & _OTHERS:
                raise PolicyError(
                    f"{path}: can be read by others (mode {stat.S_IMODE(mode):04o}); a "
                    "password is its owner's alone; chmod 600 the file"
                )
            return file.readline().rstrip("\r\n")
    except OSError as error:
        why = error.strerror
    except UnicodeDecodeError:
        why = "no text in UTF-8"
    raise PolicyError(
        f"{path}: cannot be read ({why}); the password of the database is required; "
        "check password_file in site.toml"
    )
