"""A node with noise switched on: what it sends, keeps, and says when it may not."""

import json
import struct
from dataclasses import replace

import pandas as pd
import pytest

from fedglmm_flower.envelope import Binding, encode_result, seal
from fedglmm_flower.errors import BudgetError, LedgerError
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Delivery, Request
from fedglmm_flower.glmm import fit
from fedglmm_flower.site import Ledger, read_site_config
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import STEP
from fedglmm_flower.site.private_release import require_private
from fedglmm_flower.site.private_sums import private_sums
from fedglmm_flower.site.public_scales import public_weights
from fedglmm_flower.study import Column, write_study
from tests.command import fedglmm
from tests.flower.conftest import write_site_file

PRIVACY = """
[privacy]
enabled = true
dataset = "people"
epsilon = 1.0
delta = 1e-6
budget_epsilon = 1.3
relation = "add_remove"
clipping_norm = 2.0
"""


@pytest.fixture
def noisy(federation):
    """The federation with bounds in its study, and noise at one site."""
    columns = (
        Column("x", "continuous", (), "", 0.0, 100.0, 50.0, 10.0),
        Column("y", "continuous", (), "", 0.0, 20.0, 7.0, 2.0),
    )
    federation.study = replace(federation.study, columns=columns)
    write_site_file(federation, "east")
    path = federation.site_file("east")
    path.write_text(path.read_text() + PRIVACY)
    return federation


def ask(federation, run="run-1"):
    """What the site answers, opened."""
    desk = desk_of(federation.site_file("east"))
    request = Request(
        federation.study.canonical_bytes, run, federation.identity.public.encrypt_id
    )
    sealed = desk.summarise(request).sealed
    federation.run_id = run
    kept = federation.folder.path / "sealed"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "east.sealed").write_bytes(sealed)
    return federation.open("east")


def test_another_run_gets_the_same_noise_until_the_table_is_another(noisy):
    """The ledger of site.toml pays once; a changed table is another request."""
    first, again = ask(noisy), ask(noisy, "run-2")
    path = noisy.site_file("east").parent / "ledger.sqlite"

    assert first == again
    assert first.noise is not None
    assert first.clusters[0].n_rows is None
    assert [e.kind for e in Ledger(path).entries()].count("debit") == 1
    data = path.with_name("data.csv")
    data.write_text(data.read_text() + "50,7\n")
    with pytest.raises(BudgetError):
        ask(noisy, "run-3")
    shown = fedglmm("ledger", "show", noisy.site_file("east"))
    assert "people: epsilon 1.000 of 1.300 spent" in shown.out
    assert "refuse" in shown.out


def test_a_run_that_is_asked_twice_gets_the_same_bytes_and_pays_once(noisy):
    """The ledger knows the draw, the store its sealed form."""
    kept = noisy.folder.path / "sealed" / "east.sealed"
    ask(noisy)
    first = kept.read_bytes()
    ask(noisy)
    path = noisy.site_file("east").parent / "ledger.sqlite"

    assert kept.read_bytes() == first
    assert [e.kind for e in Ledger(path).entries()].count("debit") == 1


def test_no_exact_sum_or_count_is_on_the_disk(noisy):
    """Neither in the ledger nor beside it, under a relation that hides the count."""
    released = ask(noisy)
    folder = noisy.site_file("east").parent
    rows = (folder / "data.csv").read_text().splitlines()[1:]
    y = sum((float(row.split(",")[1]) - 7.0) / 2.0 for row in rows)
    files = [*folder.glob("ledger*"), folder / "inbox" / "answers.sqlite"]
    written = b"".join(path.read_bytes() for path in files)

    assert b'"n_rows":null' in written
    assert b'"n_rows":60' not in written
    for exact in (y, 60.0):
        assert all(abs(v - exact) > 1e-6 for v in released.clusters[0].values)
    assert not (folder / "site.log").exists()


def test_no_sum_before_its_noise_is_anywhere_but_in_memory(noisy):
    """Neither as a number, nor as text, nor as the integers that noise is added to."""
    ask(noisy)
    here = read_site_config(noisy.site_file("east"))
    assert here.privacy is not None
    offer = require_private(noisy.study, here.privacy)
    features = Features(noisy.study.model, noisy.study.statistics(offer[1], offer[0]))
    weights = public_weights(features)
    exact = private_sums(noisy.study, here.source, features, weights, here.privacy)
    told = [str(v).encode() for v in exact.sums.ravel().tolist() if abs(v) > 1e5]
    for v in exact.sums[0] * STEP / weights:
        told += [repr(float(v)).encode(), struct.pack("<d", v), struct.pack(">d", v)]
    folder = noisy.site_file("east").parent
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name != "data.csv"]
    written = b"".join(path.read_bytes() for path in kept)

    assert len(told) > 12
    assert {"ledger.sqlite", "answers.sqlite"} <= {path.name for path in kept}
    assert not [value for value in told if value in written]
    # So that the search would find what stands there.
    released = ask(noisy).clusters[0].values
    assert all(repr(value).encode() in written for value in released)


def test_estimates_are_stored_without_a_check_against_exact_rows(noisy):
    """An earlier check goes, none is written, and the site's log says why."""
    path = noisy.site_file("east")
    rows = pd.read_csv(path.with_name("data.csv")).assign(site="east")
    other = rows.assign(site="west", y=rows["y"] + 1.0)
    model = fit(noisy.study.formula, pd.concat([rows, other]), family="gaussian")
    place = (noisy.study.digest, noisy.run_id)
    sealed = seal(
        encode_result(model.to_dict()),
        binding=Binding("result", *place, "east"),
        sender=noisy.identity,
        recipient=noisy.publics["east"],
    )
    desk = desk_of(path)
    check = desk.inbox / "fit_check.json"
    delivery = Delivery(*place, sealed)
    replace(desk, privacy=None).receive(delivery, noisy.study.canonical_bytes)
    mean = json.loads(check.read_text())["observed"]
    desk.receive(delivery, noisy.study.canonical_bytes)
    kept = [p for p in path.parent.rglob("*") if p.is_file() and p.suffix != ".csv"]

    assert noisy.estimates("east").exists()
    assert not check.exists()
    assert noisy.log("east").count("\n") == 1
    assert "no fit_check.json: it holds exact numbers" in noisy.log("east")
    assert not [p for p in kept if repr(mean).encode() in p.read_bytes()]


def test_a_node_answers_whatever_its_rows_say(noisy):
    """A refusal would tell of the row; one that cannot be read is told by none."""
    path = noisy.site_file("east").with_name("data.csv")
    path.write_bytes(path.read_bytes() + b'50\n"50,7\n\xff,7\nfifty,7\n')
    released = ask(noisy)

    assert released.noise is not None
    assert not path.with_name("site.log").exists()


def test_noise_without_a_ledger_sends_nothing(noisy):
    """A desk that was put together by hand."""
    desk = replace(desk_of(noisy.site_file("east")), ledger=None)
    request = Request(
        noisy.study.canonical_bytes, "run", noisy.identity.public.encrypt_id
    )
    with pytest.raises(LedgerError, match="one is required"):
        desk.summarise(request)


def test_a_preview_reads_no_row(noisy):
    """What would be sent follows from the study and the policy."""
    study = noisy.root / "study.toml"
    write_study(noisy.study, study)
    path = noisy.site_file("east")
    (path.parent / "data.csv").unlink()
    text = fedglmm("site", "preview", path, "--study", study)
    plain = json.loads(fedglmm("site", "preview", path, "--study", study, "--json").out)

    assert "with noise" in text.out
    assert "blurred by about 4.5 of the largest records" in text.out
    assert (plain["relation"], plain["statistics"]) == ("add_remove", 5)
    assert plain["rho"] == pytest.approx(0.024356, abs=1e-6)
    assert not (path.parent / "ledger.sqlite").exists()
