from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest

from tulle.agent.kube.backing import body_of, is_of_hosts, says, slices_of
from tulle.agent.kube.decode import decode
from tulle.model.kubernetes import (
    ContainerPort,
    EndpointSlice,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from tulle.model.world import Workload


def service(name: str = "web", *ports: ServicePort, namespace: str = "shop") -> Service:
    spec = ServiceSpec(
        ports=ports or (ServicePort(80, "p", target_port=8080),), selector={"app": name}
    )
    return Service(ObjectMeta(name, namespace, uid="u-1"), spec)


def runs(name: str, *ips: str, app: str = "web", ports: dict[str, int] | None = None) -> Workload:
    named = tuple(ContainerPort(number, word) for word, number in (ports or {}).items())
    addresses = tuple(map(ip_address, ips))
    return Workload("shop", name, {"app": app}, addresses, 0, ports=named, node="h")


def made(*services: Service, of: list[Workload]) -> list[EndpointSlice]:
    by_key = {(item.metadata.namespace, item.metadata.name): item for item in services}
    found = slices_of(by_key, of, {"h": "z"})
    assert all(key == (item.metadata.namespace, item.metadata.name) for key, item in found.items())
    return list(found.values())


def test_those_that_a_service_selects_by_family() -> None:
    four, six = made(
        service(),
        service("other"),
        service(namespace="elsewhere"),
        of=[
            runs("b", "10.0.0.2", "fd00::2"),
            runs("a", "10.0.0.1"),
            runs("c", "10.0.0.3", app="no"),
        ],
    )
    assert [item.addresses[0] for item in four.endpoints] == ["10.0.0.1", "10.0.0.2"]
    assert [item.addresses[0] for item in six.endpoints] == ["fd00::2"]
    assert (four.ports[0].port, four.ports[0].name) == (8080, "p")
    assert is_of_hosts(four)


def test_named_ports_are_each_workloads_own() -> None:
    by_name = service("web", ServicePort(80, "p", target_port="http"))
    of = [runs("a", "10.0.0.1", ports={"http": 1}), runs("b", "10.0.0.2", ports={"http": 2})]
    assert {item.ports[0].port for item in made(by_name, of=of)} == {1, 2}
    (none,) = made(by_name, of=[runs("c", "10.0.0.3")])
    assert none.ports == ()


def test_many_are_in_pieces_that_the_api_takes() -> None:
    of = [runs(f"w{n}", f"10.0.{n >> 8}.{n & 255}") for n in range(1001)]
    assert [len(item.endpoints) for item in made(service(), of=of)] == [1000, 1]


@pytest.mark.parametrize("version", ["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"])
def test_what_the_server_says_back_is_what_was_wanted(version: str) -> None:
    (wanted,) = made(service(), of=[runs("a", "10.0.0.1")])
    body = body_of(wanted, version, service())
    assert ("topology" in body["endpoints"][0]) == version.endswith("v1beta1")
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    back = decode("EndpointSlice", msgspec.json.encode(body), version)
    assert isinstance(back, EndpointSlice) and says(back, wanted)
    assert back.endpoints[0].zone == "z" and back.endpoints[0].node_name == "h"
    assert not says(None, wanted)
