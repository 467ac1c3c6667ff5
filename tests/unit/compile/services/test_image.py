"""The kernel's rows of a service."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tests.unit.compile.services.shop import HERE, built, listing, pod, selecting, service, town
from tulle import abi
from tulle.abi import Identity, ServiceFlag
from tulle.compile.parts import flat, packed, unpacked
from tulle.compile.services import ServiceParts
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import World

TWO = service("db", "clusterIP: 10.96.0.1, ports: [{port: 80}]") + listing(
    "192.0.2.11", "192.0.2.12"
)
NODE_PORT = "type: NodePort, ports: [{port: 80, nodePort: 30080}]"


class Rows:
    def __init__(self, world: World) -> None:
        self.parts: ServiceParts = built(world)
        self.maps = flat(self.parts.parts)

    def service(self, address: str, port: int, protocol: int = 6) -> abi.Service:
        key = abi.ServiceKey(packed(ip_address(address)), port, protocol)
        return abi.Service.unpack(self.maps["services"][key.pack()])

    def slots(self, table: abi.Table) -> list[abi.Slot]:
        keys = (abi.SlotKey(table.id, position).pack() for position in range(table.slots))
        return [abi.Slot.unpack(self.maps["slots"][key]) for key in keys]

    def targets(self, table: abi.Table) -> list[str]:
        return [f"{unpacked(slot.addr)}:{slot.port}" for slot in self.slots(table)]


def test_a_table_has_a_slot_per_backend_and_each_backend_a_row() -> None:
    rows = Rows(town(text=TWO))
    found = rows.service("10.96.0.1", 80)
    assert rows.targets(found.internal) == ["192.0.2.11:80", "192.0.2.12:80"]
    assert found.external == found.local == abi.Table()
    for slot in rows.slots(found.internal):
        raw = rows.maps["backends"][slot.backend.to_bytes(8, "little")]
        assert abi.Backend.unpack(raw) == abi.Backend(found.id, 80, slot.addr)
    key = abi.IpcacheKey(128, packed(ip_address("10.96.0.1"))).pack()
    assert abi.IpcacheEntry.unpack(rows.maps["ipcache"][key]).identity == Identity.SERVICE


def test_a_service_without_endpoints_has_an_empty_table() -> None:
    rows = Rows(town(text=service("db", "clusterIP: 10.96.0.1, ports: [{port: 80}]")))
    assert rows.service("10.96.0.1", 80).internal == abi.Table()


@pytest.mark.parametrize(
    ("more", "flags"),
    [
        ("", ServiceFlag.EXTERNAL),
        ("sessionAffinity: ClientIP", ServiceFlag.EXTERNAL | ServiceFlag.CLIENT_IP),
    ],
)
def test_flags(more: str, flags: int) -> None:
    text = selecting(more=f"clusterIP: 10.96.0.1, externalIPs: [192.0.2.9], {more}".strip(", "))
    rows = Rows(town(text=text))
    assert rows.service("192.0.2.9", 80).flags == flags
    assert rows.service("10.96.0.1", 80).flags == flags & ~ServiceFlag.EXTERNAL


def test_a_node_port_is_at_the_unspecified_address_of_its_family() -> None:
    db = pod("db-2", "10.0.0.2", "fd00::2")
    spec = f"selector: {{app: db}}, ipFamilyPolicy: PreferDualStack, {NODE_PORT}"
    rows = Rows(town(db, text=service("db", spec)))
    four, six = rows.service("0.0.0.0", 30080), rows.service("::", 30080)  # noqa: S104
    assert rows.targets(four.external) == ["10.0.0.2:80"]
    assert rows.targets(six.external) == ["fd00::2:80"]
    assert four.id != six.id


def test_what_leads_to_the_same_backends_shares_table_and_number() -> None:
    text = service("db", f"clusterIP: 10.96.0.1, selector: {{app: db}}, {NODE_PORT}")
    rows = Rows(town(pod("db-2"), pod("db-3", node="far"), text=text, dsr=True))
    inside, outside = rows.service("10.96.0.1", 80), rows.service("0.0.0.0", 30080)  # noqa: S104
    assert inside.id == outside.id
    assert inside.internal == outside.internal == outside.external
    assert rows.targets(outside.local) == ["10.0.0.2:80"]
    assert len(rows.maps["backends"]) == 2
    assert len(rows.maps["slots"]) == 3


def test_source_ranges_have_the_services_number() -> None:
    text = """
---
kind: CiliumLoadBalancerIPPool
metadata: {name: p}
spec: {blocks: [{start: 203.0.113.7}]}
""" + selecting(more="type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]")
    rows = Rows(town(text=text))
    found = rows.service("203.0.113.7", 80)
    assert found.flags & ServiceFlag.SOURCE_RANGES
    (key,) = map(abi.SourceRangeKey.unpack, rows.maps["source_ranges"])
    assert key == abi.SourceRangeKey(32 + 96 + 8, found.id, packed(ip_address("10.0.0.0")))


def test_maglev_by_annotation() -> None:
    text = TWO.replace("{name: db}", "{name: db, annotations: {tulle.io/maglev: 'true'}}")
    rows = Rows(town(text=text))
    found = rows.service("10.96.0.1", 80)
    assert found.flags == ServiceFlag.MAGLEV
    assert found.internal.slots == 1021
    targets = rows.targets(found.internal)
    assert abs(targets.count("192.0.2.11:80") - targets.count("192.0.2.12:80")) == 1
    assert {slot.keep for slot in rows.slots(found.internal)} == {(1 << 32) - 1}
    assert Rows(town(text=TWO)).service("10.96.0.1", 80).flags == 0


def test_other_contents_are_another_table_and_a_backend_keeps_its_number() -> None:
    first = Rows(town(text=TWO))
    second = Rows(town(text=TWO.replace("192.0.2.12", "192.0.2.13")))
    tables = [item.service("10.96.0.1", 80).internal for item in (first, second)]
    assert tables[0].id != tables[1].id
    assert first.slots(tables[0])[0].backend == second.slots(tables[1])[0].backend
    assert first.slots(tables[0])[1].backend != second.slots(tables[1])[1].backend


def test_two_services_on_one_backend_are_two_backends() -> None:
    text = TWO + service("web", "clusterIP: 10.96.0.2, ports: [{port: 80}]")
    text += listing("192.0.2.11", name="b", of="web")
    assert len(Rows(town(text=text)).maps["backends"]) == 3


def test_an_address_that_two_share_has_one_row() -> None:
    spec = "externalIPs: [192.0.2.9], ports: [{port: %d}]"
    parts = built(town(text=service("a", spec % 80) + service("b", spec % 81))).parts
    key = abi.IpcacheKey(128, packed(ip_address("192.0.2.9"))).pack()
    assert [name for name, part in parts.items() if key in part.get("ipcache", {})] == [
        ("service", "shop", "a")
    ]


def test_a_host_port_is_at_this_nodes_addresses_and_gives_them_no_identity() -> None:
    web = pod("web-2", ports=(ContainerPort(80, host_port=8080),))
    rows = Rows(town(web, node=HERE))
    found = rows.service("192.0.2.1", 8080)
    assert found.flags == ServiceFlag.EXTERNAL
    assert rows.targets(found.external) == rows.targets(found.internal) == ["10.0.0.2:80"]
    assert not rows.maps["ipcache"]
