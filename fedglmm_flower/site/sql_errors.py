"""What a database says, in our own words: theirs may quote passwords and cells."""

from collections.abc import Callable
from typing import TypeVar

from fedglmm_flower.errors import DataError, FedglmmError

ResultT = TypeVar("ResultT")

# By SQLSTATE, the longest beginning first.
_BY_STATE = {
    "28": "the login was refused; check user and password",
    "3D": "there is no such database; check the address in site.toml",
    "42501": "the user may not read this; have SELECT granted on the tables of the "
    "query",
    "42P01": "the query names a table that does not exist; check its spelling and "
    "schema",
    "42703": "the query names a column that does not exist; check its spelling",
    "42702": "the query names a column that several tables have; write table.column",
    "42601": "the query is no valid SQL; run it in the database's own client",
    "42": "the query does not fit the tables; run it in the database's own client",
    "25006": "the query would write; one that only reads is required",
    "0A000": "the query would write, or asks what the database cannot do; one SELECT "
    "is required",
    "22": "a value cannot be converted or computed as the query asks; run it in the "
    "database's own client to see which",
    "40": "other transactions got in the way; answer again when nobody writes",
    "57014": "the database was too slow or the query was cancelled; raise timeout in "
    "site.toml, or simplify the query",
    "57": "the database is shutting down or starting; answer again later",
    "53": "the database has no connection, memory or disk left; answer again later",
    "08": "the connection broke; check network and server, and answer again",
}
# Where a driver gives no SQLSTATE: words of its message, the first that fit.
_BY_TEXT = {
    ("password", "authentication", "role ", "pg_hba"): _BY_STATE["28"],
    ("could not translate", "resolve", "name or service"): (
        "the host is not known; check the address in site.toml"
    ),
    ("timeout", "timed out"): (
        "the host does not answer in time; check address and firewall"
    ),
    ("refused", "no such file"): (
        "the host refuses the connection; check address, port and whether the database "
        "runs"
    ),
    ("no such table",): _BY_STATE["42P01"],
    ("no such column",): _BY_STATE["42703"],
    ("syntax error",): _BY_STATE["42601"],
    ("readonly",): _BY_STATE["25006"],
    ("database",): (
        "the database cannot be opened or is locked; check the address in site.toml"
    ),
}
_OTHERWISE = "the database could not answer; run the query in its own client"


def data_free(where: str, work: Callable[[], ResultT]) -> ResultT:
    """
    Do something at a database; whatever fails becomes one sentence without its words.

    Law: the error that is raised has neither cause nor context, so that no traceback
    leads to what the driver said.

    Parameters
    ----------
    where : str
        Name of the source in the message.
    work : callable
        What to do.

    Raises
    ------
    DataError
        If it fails.
    """
    try:
        return work()
    except FedglmmError:
        raise
    except Exception as error:  # noqa: BLE001 - drivers have exceptions of their own
        reason = _reason(error)
    raise DataError(f"{where}: {reason}")


def _reason(error: Exception) -> str:
    said = getattr(error, "orig", None) or error
    state = getattr(said, "sqlstate", None)
    if isinstance(state, str):
        for length in (5, 2):
            if state[:length] in _BY_STATE:
                return f"{_BY_STATE[state[:length]]} (SQLSTATE {state})"
        return f"{_OTHERWISE} (SQLSTATE {state})"
    text = str(said).lower()
    found = (
        reason for words, reason in _BY_TEXT.items() if any(w in text for w in words)
    )
    return next(found, _OTHERWISE)
