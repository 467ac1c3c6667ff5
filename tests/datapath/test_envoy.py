"""The real Envoy at a front: with these settings the kernel knows it for what it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.datapath.steered import Field, address_of, field_of
from tests.datapath.test_legs import ADMIT, PORT, PROXIED, SERVED, SERVICE, VIP, exchange, through
from tulle.abi import Reason
from tulle.model.proxy import UPSTREAM_PORTS

ENVOY = Path(sys.executable).with_name("envoy")
CONFIG = Path(__file__).with_name("envoy.yaml")


@pytest.fixture(scope="module", params=("native", "vxlan"))
def field(request: pytest.FixtureRequest) -> Iterator[Field]:
    with field_of("envoy", request.param) as made:
        for name in ("client", "web"):
            made.a.run(name)
        made.b.run("far")
        made.force(SERVICE, PROXIED)
        yield made


@pytest.fixture(params=(4, 6), ids=("IPv4", "IPv6"))
def version(request: pytest.FixtureRequest, field: Field) -> Iterator[int]:
    yield request.param
    field.clear()
    field.force(SERVICE)


@pytest.mark.parametrize("where", ["web", "far"])
def test_backends_see_the_client_and_policies_judge_it(
    field: Field, version: int, where: str, tmp_path: Path
) -> None:
    node = field.a if where == "web" else field.b
    backend = address_of(node, where, version)
    server = field.serve(node.place(where), backend, port=SERVED)
    text = CONFIG.read_text().replace("@FRONT@", VIP[version]).replace("@BACKEND@", backend)
    (tmp_path / "envoy.yaml").write_text(text)
    options = ("-c", str(tmp_path / "envoy.yaml"), "--disable-hot-restart", "-l", "error")
    field.a.spawn(str(ENVOY), *options, cgroup=field.a.proxy_cgroup)
    client = field.open(field.a.place("client"), version, "TCP")
    client.connect((VIP[version], PORT))  # its SYN is sent again until Envoy is there
    accepted, source = server.accept()
    field.keep(accepted)
    assert source[0] == address_of(field.a, "client", version)
    assert UPSTREAM_PORTS[0] <= source[1] <= UPSTREAM_PORTS[1]
    field.force(SERVICE + ADMIT % {"subject": where, "peer": "client"})
    exchange(through(field, server, version))
    field.force(SERVICE + ADMIT % {"subject": where, "peer": "nobody"})
    node.events()
    with suppress(OSError):  # Envoy closes what it cannot connect
        field.connect(field.a.place("client"), VIP[version], PORT).recv(1)
    assert Reason.POLICY_DENIED in node.reasons()
