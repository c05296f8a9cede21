"""Nothing readable leaves a site but the keys of the protocol."""

import struct

import pytest
from flwr.app import Message
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import Message as ProtoMessage

from fedglmm_flower.flower.client import desk_of_node
from tests.flower.conftest import write_site_file
from tests.flower.test_one_round import run

ALLOWED = {
    "released": {"status", "site", "sealed"},
    "received": {"status", "site"},
    "refused": {"status", "site", "code", "public"},
}


def replies(grid) -> list[Message]:
    """Recorded messages of the sites, read back from their bytes."""
    return [message_from_proto(ProtoMessage.FromString(raw)) for raw in grid.replied]


def test_a_reply_holds_the_allowed_keys_and_no_others(federation):
    """Released, received and refused replies each have a closed set of keys."""
    write_site_file(federation, "north", approved="0" * 64)
    grid = federation.grid(record=True)
    run(federation, grid, quorum=3)
    seen = set()
    for message in replies(grid):
        record = message.content.config_records["reply"]
        status = str(record["status"])
        seen.add(status)

        assert list(message.content) == ["reply"]
        assert ALLOWED[status] == set(record)
    assert {"released", "received", "refused"} == seen


def test_no_value_sum_or_estimate_is_readable_in_any_message(federation):
    """Neither as text nor as a binary float, in either direction."""
    grid = federation.grid(record=True)
    result = run(federation, grid).outcome.to_dict()
    numbers = {60.0, 240.0, result["loglik"], result["residual_sd"]}
    for row in [*result["fixed"], *result["random"], *result["ranef"]]:
        numbers.update(value for value in row.values() if isinstance(value, float))
    for site in federation.study.sites:
        numbers.update(federation.open(site).clusters[0].values)
        rows = federation.site_file(site).parent / "data.csv"
        for row in rows.read_text().splitlines()[1:]:
            numbers.update(map(float, row.split(",")))
    texts = {repr(number) for number in numbers if len(repr(number)) > 4}
    needles = {text.encode() for text in texts}
    needles |= {struct.pack(order, x) for x in numbers for order in ("<d", ">d")}
    needles |= {b"n_rows", b"estimate", b"Intercept"}
    wire = grid.replied + grid.sent

    assert len(wire) == 16
    assert [n for n in needles for message in wire if n in message] == []


@pytest.mark.parametrize("kind", [ValueError, SystemExit, BaseException])
def test_the_text_of_an_exception_does_not_cross(federation, kind):
    """Whatever a handler raises, its words stay in the site's own log."""
    secret = "patient 4711 has 93.25"

    class Crashing:
        site = "north"
        log = federation.site_file("north").parent / "site.log"

        def summarise(self, request):
            raise kind(secret)

    def open_desk(context, study):
        crashes = context.node_config == federation.node("north")
        return Crashing() if crashes else desk_of_node(context, study)

    grid = federation.grid(open_desk=open_desk, record=True)
    result = run(federation, grid, quorum=3)

    assert {s: r.code for s, r in result.refusals.items()} == {"north": "failed"}
    assert secret.encode() not in b"".join(grid.replied)
    assert secret in federation.log("north")


def test_a_site_prints_nothing_when_it_refuses(federation, capfd):
    """What a node prints may be captured and sent on, so it prints nothing."""
    write_site_file(federation, "north", data="absent.csv")
    run(federation, federation.grid(), quorum=3)

    assert tuple(capfd.readouterr()) == ("", "")
    assert "absent.csv" in federation.log("north")


def test_a_site_file_that_cannot_be_read_is_told_without_its_content(federation):
    """A site that cannot even tell its name refuses with a code, and logs why."""
    federation.site_file("south").write_text('site = "south" password = hunter2')
    grid = federation.grid(record=True)
    result = run(federation, grid, quorum=3)

    assert {site: refused.code for site, refused in result.refusals.items()} == {
        "south": "policy-invalid"
    }
    assert b"hunter2" not in b"".join(grid.replied)
    assert "no valid TOML" in federation.log("south")


def test_the_log_of_a_site_is_its_owners_alone(federation):
    """Details may quote data: the file is closed to group and others."""
    write_site_file(federation, "north", approved="0" * 64)
    run(federation, federation.grid(), quorum=3)
    log = federation.site_file("north").parent / "site.log"

    assert log.stat().st_mode & 0o777 == 0o600
