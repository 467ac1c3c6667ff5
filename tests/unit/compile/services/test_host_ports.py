"""hostPort: who has a port of this node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.compile.services.shop import HERE, at, built, pod, reasons, service, town
from tulle.compile.services import Frontend, ServiceParts
from tulle.model.kubernetes import ContainerPort, ObjectRef, Protocol

WEB = ObjectRef("Pod", "shop", "web-2")


def on_host(
    port: int, host_port: int, protocol: Protocol = "TCP", host_ip: str = ""
) -> ContainerPort:
    return ContainerPort(port, "", protocol, host_port, host_ip)


def faces(parts: ServiceParts, ref: ObjectRef = WEB) -> list[str]:
    return [str(item.face) for item in parts.of(ref)]


def test_every_address_of_this_node_leads_to_the_one_workload() -> None:
    web = pod("web-2", "10.0.0.2", "fd00::2", ports=(ContainerPort(9), on_host(80, 8080)))
    found: tuple[Frontend, ...] = built(town(web)).of(WEB)
    assert [str(item.face) for item in found] == ["192.0.2.1:8080/TCP", "[2001:db8::1]:8080/TCP"]
    assert [at(item.internal) for item in found] == [["10.0.0.2:80"], ["fd00::2:80"]]
    assert all(item.external == item.internal and not item.local for item in found)


def test_a_family_that_the_workload_has_not_is_not_served() -> None:
    assert faces(built(town(pod("web-2", ports=(on_host(80, 8080),))))) == ["192.0.2.1:8080/TCP"]


@pytest.mark.parametrize(
    ("host_ip", "expected"),
    [
        ("192.0.2.1", ["192.0.2.1:8080/TCP"]),
        ("127.0.0.1", ["127.0.0.1:8080/TCP"]),
        ("0.0.0.0", ["192.0.2.1:8080/TCP"]),  # noqa: S104
        ("::", ["[2001:db8::1]:8080/TCP"]),
    ],
)
def test_an_address_may_be_named(host_ip: str, expected: list[str]) -> None:
    web = pod("web-2", "10.0.0.2", "fd00::2", ports=(on_host(80, 8080, host_ip=host_ip),))
    assert faces(built(town(web))) == expected


def test_an_address_of_another_node_is_refused() -> None:
    parts = built(town(pod("web-2", ports=(on_host(80, 8080, host_ip="192.0.2.2"),))))
    assert reasons(parts) == [
        "Pod shop/web-2: hostIP: 192.0.2.2 is not an address of this node: it has no host ports"
    ]
    assert not faces(parts)


def test_a_workload_of_another_node_has_its_ports_there() -> None:
    assert not faces(built(town(pod("web-2", node="near", ports=(on_host(80, 8080),)))))


def test_a_port_is_the_workloads_that_was_there_first() -> None:
    first = pod("web-2", ports=(on_host(80, 8080),))
    later = pod("app-3", ports=(on_host(80, 8080, host_ip="192.0.2.1"), on_host(81, 8081)))
    parts = built(town(later, first))
    assert faces(parts) == ["192.0.2.1:8080/TCP"]
    assert reasons(parts) == [
        "Pod shop/app-3: hostPort: 192.0.2.1:8080/TCP belongs to Pod shop/web-2:"
        " it has no host ports"
    ]
    assert not built(town(replace(later, ifindex=1), first)).of(WEB)


def test_another_protocol_is_another_port() -> None:
    udp = pod("dns-3", ports=(on_host(53, 8080, "UDP"),))
    assert not reasons(built(town(pod("web-2", ports=(on_host(80, 8080),)), udp)))


@pytest.mark.parametrize(
    ("spec", "owned"),
    [
        ("type: NodePort, ports: [{port: 80, nodePort: 30080}]", "nodePort"),
        ("externalIPs: [192.0.2.1], ports: [{port: 30080}]", "externalIPs"),
    ],
)
def test_services_go_before(spec: str, owned: str) -> None:
    web = pod("web-2", ports=(on_host(80, 30080),))
    parts = built(town(web, text=service("a", spec), node=HERE))
    assert owned in spec and not faces(parts)
    assert reasons(parts) == [
        "Pod shop/web-2: hostPort: 192.0.2.1:30080/TCP belongs to Service shop/a:"
        " it has no host ports"
    ]
