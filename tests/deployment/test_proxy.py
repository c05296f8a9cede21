"""The guide's nginx: sites reach their interface alone, and a round goes through."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from examples.gusto.superlink import free_port
from tests.deployment.consortium import Consortium, service
from tests.deployment.guide import blocks

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
COORDINATOR, SITE = "127.0.0.1", "127.0.0.2"

pytestmark = [
    pytest.mark.lengthy,
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed here"),
]


def configuration(consortium: Consortium, inner: int) -> str:
    """The guide's server, on the relay's port, before a SuperLink on another."""
    (block,) = blocks("nginx")
    text = consortium.put(block.text, "relay")
    for old, new in {
        "listen 8000": f"listen {consortium.relay_port}",
        "127.0.0.1:8001": f"127.0.0.1:{inner}",
        "192.0.2.10": COORDINATOR,
    }.items():
        assert old in text
        text = text.replace(old, new)
    place = consortium.folder("relay")
    own = "".join(
        f"{kind}_temp_path {place}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # A worker of another user could not reach the folder of the test.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"daemon off;\n{user}pid {place}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{own}{text}}}\n"
    )


@pytest.fixture(scope="module")
def behind(consortium) -> Iterator[Consortium]:
    """The consortium, its relay behind nginx; afterwards as it was."""
    assert NGINX is not None
    inner, place = free_port(), consortium.folder("relay")
    (place / "nginx.conf").write_text(configuration(consortium, inner))
    outer = "--host 0.0.0.0 --port 8000"
    assert outer in service("relay")
    consortium.kill("relay")
    with (consortium.root / "nginx.log").open("ab") as log:
        proxy = subprocess.Popen(
            [NGINX, "-p", place, "-e", "stderr", "-c", place / "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        hidden = service("relay").replace(outer, f"--host 127.0.0.1 --port {inner}")
        consortium.start(hidden, "relay")
        consortium.until(lambda: asked(consortium, SITE, "/health") == 200, "nginx")
        yield consortium
    finally:
        proxy.terminate()
        proxy.wait(timeout=30)
        consortium.kill("relay")
        consortium.start(service("relay"), "relay")
        consortium.await_relay()


def asked(consortium: Consortium, caller: str, path: str) -> int:
    """HTTP status that somebody with this address is answered with."""
    command = (
        "curl --silent --path-as-is --output answer --write-out '%{http_code}' "
        f"--interface {caller} --cacert /srv/fedglmm/ca.crt "
        f"--request {'GET' if path == '/health' else 'POST'} "
        f"'https://relay.example.org:8000{path}' || true"
    )
    return int(consortium.run(command, "coordinator").split()[-1])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/list-runs",
        "/v1/control/start-run",
        "/v1/runtime/pull-task-input",
        "//v1//control/list-runs",
        "/v1/./control/list-runs",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "/v1/%63ontrol/list-runs",
        "/V1/control/list-runs",
        "/docs",
        "/",
    ],
)
def test_a_site_reaches_nothing_but_its_own_interface(behind, path):
    """However the path is spelled."""
    assert asked(behind, SITE, path) == 403


@pytest.mark.parametrize("caller", [SITE, COORDINATOR])
def test_what_each_may_call_is_passed_on(behind, caller):
    """A control: a request without content is refused, but by the SuperLink."""
    allowed = ["/v1/fleet/activate-node"]
    if caller == COORDINATOR:
        allowed.append("/v1/control/list-runs")

    for path in allowed:
        assert asked(behind, caller, path) not in (0, 403, 404, 502)


def test_a_round_goes_through_the_proxy(behind):
    """All sites are used; the coordinator submits, watches and takes up the run."""
    behind.await_online()
    run = behind.submit("proxied", deadline=600.0, quorum=0)
    status, details = behind.ended(run)

    assert status == "finished:completed", details
    sites = behind.result("proxied")["sites"]
    assert [site["status"] for site in sites] == ["used"] * 3
