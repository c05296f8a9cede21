"""A site's answers are kept: the first stands, and is given again."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fedglmm_flower.errors import StorageError
from fedglmm_flower.site import Policy
from fedglmm_flower.site.answers import AnswerStore, ReleaseKey
from tests.disk import full_disk

KEY = ReleaseKey("d" * 64, "north", "s" * 64, Policy())


@pytest.fixture
def store(tmp_path) -> AnswerStore:
    """A store in a folder that does not exist yet."""
    return AnswerStore(tmp_path / "inbox" / "answers.sqlite")


def test_the_first_release_of_a_key_stands(store):
    """A second draw of noise, or a repeated sum, is never what leaves."""
    assert store.release(KEY, b"first") == b"first"
    assert store.release(KEY, b"second") == b"first"
    assert AnswerStore(store.path).release(KEY, b"third") == b"first"


@pytest.mark.parametrize(
    "changed",
    [
        {"study": "e" * 64},
        {"site": "south"},
        {"snapshot": "t" * 64},
        {"policy": Policy(min_rows=60)},
        {"mechanism": "gaussian"},
    ],
)
def test_whatever_a_release_follows_from_is_in_its_key(store, changed):
    """Other rows, another policy or another mechanism make another release."""
    store.release(KEY, b"first")

    assert store.release(replace(KEY, **changed), b"second") == b"second"


def test_one_run_and_recipient_have_one_sealed_form(store):
    """Sealing anew would give a relay two messages to compare."""
    store.release(KEY, b"content")
    forms = iter([b"1", b"2", b"3"])
    found = [
        store.answer(KEY, place, lambda: next(forms))
        for place in [("r", "c"), ("r", "c"), ("q", "c"), ("r", "o")]
    ]

    assert found == [b"1", b"1", b"2", b"3"]


def test_many_at_once_get_one_answer(store):
    """Who comes second waits, and gets the first one's bytes."""
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda k: store.release(KEY, b"%d" % k), range(16)))

    assert len(found) == 1


def test_a_question_is_known_once_it_was_asked(store):
    """A result of a run in which nothing was asked has no study here."""
    assert store.question("d", "run") is None
    assert not store.path.exists()
    store.keep_question("d", "run", b"study")

    assert store.question("d", "run") == b"study"
    assert store.question("d", "other") is None


def test_the_file_is_for_its_owner_alone(store):
    """It holds sums of the site."""
    store.release(KEY, b"x")

    assert store.path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_a_clear_error_and_keeps_what_was_kept(store):
    """What cannot be kept is not sent."""
    store.release(KEY, b"first")
    other = replace(KEY, site="south")
    with full_disk(4096), pytest.raises(StorageError, match="nothing was sent"):
        store.release(other, b"x" * 100_000)

    assert store.release(KEY, b"again") == b"first"
    assert store.release(other, b"new") == b"new"


def test_a_damaged_store_is_refused(store):
    """Neither a foreign file nor altered bytes are sent."""
    store.release(KEY, b"first")
    with sqlite3.connect(store.path) as base:
        base.execute("UPDATE release SET body = 'x'")
    base.close()
    with pytest.raises(StorageError, match="undamaged"):
        store.release(KEY, b"first")
    store.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match="own record of its answers"):
        store.release(KEY, b"first")
