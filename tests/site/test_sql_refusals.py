"""What goes wrong at a database ends in one sentence without its words."""

import re
import socket
import time
import traceback

import pytest

from fedglmm_flower.errors import DataError, PolicyError
from fedglmm_flower.site import read_site_config
from fedglmm_flower.site.database import Database
from fedglmm_flower.site.sql import SqlSource

SITE = """
format = 1
site = "north"

[data]
kind = "sql"
{data}

[keys]
identity = "a.key"
coordinator = "b.pub"
"""
CELL = "born1950"


@pytest.fixture(autouse=True)
def password(monkeypatch):
    """As an officer gives it to the node's environment."""
    monkeypatch.setenv("READER_PASSWORD", "r3ader:p@ss/w%rd")


def configured(tmp_path, data):
    """The source that a ``[data]`` table describes."""
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(data=data))
    return read_site_config(path).source


def refused(source, columns=("x",), error=DataError):
    """The message, after a search of the whole chain of errors for what is secret."""
    with pytest.raises(error) as caught:
        list(source.batches(columns, 100))
    told = "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    for secret in (CELL, "r3ader", "p@ss", "wrong-one", "p%40ss"):
        assert secret not in told
        assert secret == CELL or secret not in repr(source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (f"SELECT CAST('{CELL}' AS int) AS x", "a value cannot be converted"),
        ("SELECT CAST(s AS int) AS x FROM people", "a value cannot be converted"),
        ("SELECT 1 / (n - 2) AS x FROM people", "a value cannot be converted"),
        ("SELECT * FROM nowhere", "names a table that does not exist"),
        ("SELECT nothing AS x FROM people", "names a column that does not exist"),
        ("SELECT p.n AS x, n FROM people p, people q", "that several tables have"),
        ("SELECT n AS x FROM hidden", "may not read this"),
        ("SELECT n AS x FROM people WHERE", "is no valid SQL"),
        ("SELECT s + 1 AS x FROM people", "does not fit the tables"),
        ("SELECT nextval('counter') AS x", "may not read this|would write"),
        ("WITH d AS (DELETE FROM people RETURNING n) SELECT n AS x FROM d", "write"),
        ("SELECT n AS x INTO other FROM people", "would write|no valid SQL"),
        ("SELECT n AS x FROM people FOR UPDATE", "may not read this|would write"),
    ],
)
def test_a_query_that_fails_is_told_in_our_words(server, query, says):
    """PostgreSQL's own message would quote the cell, the query and its context."""
    server.fill("people", {"n": "int", "s": "text"}, [(1, "1"), (2, CELL)])
    server.fill("hidden", {"n": "int"}, [(1,)])
    server.execute("REVOKE ALL ON hidden FROM reader")
    server.execute("CREATE SEQUENCE IF NOT EXISTS counter")
    source = SqlSource(Database(server.url, "READER_PASSWORD"), query)

    assert re.search(says, refused(source))
    assert refused(source).startswith("query of registry: ")


def test_nothing_can_be_written_even_by_an_owner(server):
    """The transaction only reads, whatever the user may do, and is rolled back."""
    from tests.site.postgres import OWNER, SECRET

    server.execute("DROP SEQUENCE IF EXISTS counter; CREATE SEQUENCE counter")
    url = server.url.replace("reader@", f"{OWNER}@")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWNER_PASSWORD", SECRET)
        source = SqlSource(
            Database(url, "OWNER_PASSWORD"), "SELECT nextval('counter') AS x"
        )
        assert "would write" in refused(source)


def test_a_wrong_login_is_told(server, monkeypatch):
    """Without the password, and without saying which of the two is wrong."""
    monkeypatch.setenv("READER_PASSWORD", "wrong-one")
    for user in ("reader", "nobody"):
        url = server.url.replace("reader@", f"{user}@")
        source = SqlSource(Database(url, "READER_PASSWORD"), "SELECT 1 AS x")

        assert "the login was refused; check user and password" in refused(source)


def test_a_database_that_is_not_there_is_told(server):
    """The name, the port and the host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    for url, says in (
        (server.url.replace("/registry", "/absent"), "cannot be opened"),
        (server.url.replace(str(server.port), str(free)), "refuses the connection"),
        (server.url.replace("127.0.0.1", "no-such-host.invalid"), "not known"),
    ):
        source = SqlSource(Database(url, "READER_PASSWORD"), "SELECT 1 AS x")

        assert says in refused(source)


def test_a_query_that_takes_too_long_is_stopped(server):
    """By the server, whatever it does, and in all by us."""
    began = time.monotonic()
    database = Database(server.url, "READER_PASSWORD", seconds=0.3)
    slow = SqlSource(database, "SELECT pg_sleep(30)::text AS x")
    drop_by_drop = "SELECT pg_sleep(0.1)::text AS x FROM generate_series(1, 300)"

    assert "too slow" in refused(slow)
    assert "too slow" in refused(SqlSource(database, drop_by_drop))
    assert time.monotonic() - began < 15


def test_a_connection_that_breaks_is_told(server):
    """In the middle of the rows, as when a server is restarted."""
    source = SqlSource(
        Database(server.url, "READER_PASSWORD"),
        "SELECT n AS x, repeat('x', 1000) FROM generate_series(1, 50000) n",
    )

    def break_off():
        for batch in source.batches(["x"], 100):
            yield batch
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'fedglmm'"
            )

    with pytest.raises(DataError, match=r"^query of registry: ") as caught:
        list(break_off())
    assert "answer again" in str(caught.value)


def test_the_password_may_stand_in_a_file_of_the_owner_alone(server, tmp_path):
    """One that others can read, or that is empty or missing, is refused."""
    secret = tmp_path / "db.password"
    source = configured(
        tmp_path,
        f'url = "{server.url}"\nquery = "SELECT 1 AS x"\npassword_file = "db.password"',
    )
    assert "cannot be read" in refused(source, error=PolicyError)
    secret.write_text("r3ader:p@ss/w%rd\n")
    for mode in (0o640, 0o604, 0o602):
        secret.chmod(mode)
        assert "can be read by others" in refused(source, error=PolicyError)
    secret.chmod(0o600)
    assert [len(batch) for batch in source.batches(["x"], 10)] == [1]
    secret.write_text("\n")
    assert "holds no password" in refused(source, error=PolicyError)


def test_a_password_that_is_not_set_is_told(monkeypatch):
    """By the name of the variable."""
    monkeypatch.delenv("READER_PASSWORD")
    source = SqlSource(
        Database("postgresql://reader@127.0.0.1:1/r", "READER_PASSWORD"), "SELECT 1"
    )

    assert "the variable READER_PASSWORD: holds no" in refused(
        source, error=PolicyError
    )


GOOD = 'url = "postgresql://reader@db.example.org/registry"\n'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('url = "postgresql://r:p%40ss@h/d"\ntable = "t"', "data.url: .*a password"),
        ('url = "postgresql://r@h/d?password=p%40ss"\ntable = "t"', "a password"),
        ('url = "postgresql://r@h/d?sslpassword=p%40ss"\ntable = "t"', "a password"),
        ('url = "r:p%40ss@h/d"\ntable = "t"', "no address of a database"),
        ('url = "postgresql://r:p%40ss@h:x/d"\ntable = "t"', "no address"),
        ('url = "postgresql+psycopg2://h/d"\ntable = "t"', "read by psycopg"),
        (GOOD, "url and one of query and table"),
        (GOOD + 'query = "SELECT 1"\ntable = "t"', "url and one of query and table"),
        (GOOD + 'table = "t"\npath = "t.csv"', "path belong to files alone"),
        (GOOD + 'table = "t"\ntimeout = 0', "data.timeout"),
        (GOOD + 'table = "t"\npassword = "p%40ss"', "data.password"),
        (
            GOOD + 'table = "t"\npassword_env = "A"\npassword_file = "b"',
            "one of password_env and password_file",
        ),
        (GOOD + 'query = "SELECT 1; DROP TABLE t"', "a semicolon before its end"),
        (GOOD + "query = \"SELECT ';'\"", "a semicolon before its end"),
        (GOOD + 'query = "SELECT 1;;"', "a semicolon before its end"),
        (GOOD + 'query = "DELETE FROM t"', "is no SELECT"),
        (GOOD + 'query = "-- SELECT\\nDROP TABLE t"', "is no SELECT"),
        (GOOD + 'query = "/* x */ selection"', "is no SELECT"),
        (GOOD + 'query = ""', "is no SELECT"),
        ('table = "t"', "url and one of query and table"),
    ],
)
def test_what_site_toml_may_not_say_is_refused(tmp_path, data, says):
    """When the file is read, before anything is connected; without quoting it."""
    with pytest.raises(PolicyError, match=says) as caught:
        configured(tmp_path, data)

    assert "p%40ss" not in "".join(traceback.format_exception(caught.value))


def test_keys_of_a_database_belong_to_a_database(tmp_path):
    """A file has no query."""
    path = tmp_path / "site.toml"
    for data, says in (
        ('path = "t.csv"\nquery = "SELECT 1"', 'query belong to kind = "sql" alone'),
        ("", "path is missing"),
    ):
        path.write_text(SITE.format(data=data).replace('kind = "sql"', ""))
        with pytest.raises(PolicyError, match=says):
            read_site_config(path)
