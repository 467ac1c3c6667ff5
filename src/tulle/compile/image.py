"""World → Image: what every derived map of the kernel should hold, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tulle import abi
from tulle.abi import MAPS, Action, Identity, PolicySet, RuleId
from tulle.model.verdict import NOT_ISOLATED, Rule
from tulle.model.world import IPAddress, IPNetwork, Refusal, Workload, World

from .balance import alias_table
from .identities import Distinctions, Peer
from .ids import SPACES, Allocator, Ids
from .policies import PROTOCOLS, Decision, Match, compile_set, selecting
from .policies import PolicySet as Entries
from .services import Frontend, frontends

Image = Mapping[str, Mapping[bytes, bytes]]
DERIVED = ("policy", "slots", "backends", "rules", "ipcache", "endpoints", "services")
DIRECTIONS = ("ingress", "egress")


@dataclass(frozen=True, slots=True)
class Compiled:
    """The image, and what its numbers mean."""

    image: Image
    ids: Ids
    rules: Mapping[int, Rule]
    identities: Mapping[int, str]
    services: Mapping[int, Frontend]
    refusals: tuple[Refusal, ...] = ()


def packed(address: IPAddress) -> bytes:
    """128 bits, IPv4 mapped (RFC 4291, 2.5.5.2)."""
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def unpacked(raw: bytes) -> IPAddress:
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


def compile_world(world: World, ids: Ids) -> Compiled:
    """Services must have their addresses (`with_addresses`)."""
    return _Compilation(world, ids).run()


def counters_above(image: Image) -> Ids:
    """Ids whose counters stand above every number in an image whose names are lost."""
    policy = [
        (abi.PolicyKey.unpack(key), abi.PolicyEntry.unpack(value))
        for key, value in image.get("policy", {}).items()
    ]
    endpoints = [abi.Endpoint.unpack(value) for value in image.get("endpoints", {}).values()]
    services = [abi.Service.unpack(value) for value in image.get("services", {}).values()]
    seen = {
        "set": [key.set for key, _ in policy],
        "rule": [entry.rule for _, entry in policy],
        "identity": [key.peer for key, _ in policy] + [item.identity for item in endpoints],
        "service": [item.id for item in services],
        "table": [item.table for item in services],
        "backend": [int.from_bytes(key, "little") for key in image.get("backends", {})],
    }
    return Ids(
        {}, {kind: max(SPACES[kind].first, *numbers, 0) + 1 for kind, numbers in seen.items()}
    )


class _Compilation:
    def __init__(self, world: World, ids: Ids) -> None:
        self.world = world
        self.allocator = Allocator(ids)
        self.maps: dict[str, dict[bytes, bytes]] = {name: {} for name in DERIVED}
        self.distinctions = Distinctions(world.policies.values())
        self.rules: dict[int, Rule] = {}
        self.services: dict[int, Frontend] = {}
        self.refusals: list[Refusal] = []

    def run(self) -> Compiled:
        of_address, peers = self._identities()
        self._ipcache(peers)
        self._endpoints(of_address, peers)
        self._services()
        for rule in (RuleId.NOT_ISOLATED, *self.rules):
            self.maps["rules"][_u32(rule)] = b""
        builtin = {int(RuleId.NOT_ISOLATED): Rule("", builtin=NOT_ISOLATED)}
        return Compiled(
            self.maps,
            self.allocator.freeze(),
            builtin | self.rules,
            self._names(peers),
            self.services,
            tuple(self.refusals),
        )

    def _names(self, peers: Mapping[Peer, int]) -> dict[int, str]:
        names = {number: peer.name for peer, number in peers.items()}
        for reserved in (Identity.HOST, Identity.WORLD, Identity.SERVICE):
            names[int(reserved)] = f"reserved:{reserved.name.lower()}"
        return names

    def _identities(self) -> tuple[dict[IPAddress, Peer], dict[Peer, int]]:
        """Each workload address's peer, and the number of each peer in the world."""
        of_address = {
            address: self.distinctions.workload(self.world, workload, address)
            for _, workload in sorted(self.world.workloads.items())
            for address in workload.addresses
        }
        outside = {self.distinctions.network(item) for item in self.distinctions.networks()}
        everyone = set(of_address.values()) | {peer for peer in outside if peer.blocks}
        ordered = sorted(everyone, key=lambda peer: peer.name)
        return of_address, {peer: self.allocator.get("identity", peer.name) for peer in ordered}

    def _ipcache(self, peers: Mapping[Peer, int]) -> None:
        for network in sorted(self.distinctions.networks(), key=str):
            number = peers.get(self.distinctions.network(network), int(Identity.WORLD))
            self._put_ipcache(network, number)
        for _, service in sorted(self.world.services.items()):
            for text in service.spec.cluster_ips or (service.spec.cluster_ip,):
                if text and text != "None":
                    self._put_ipcache(ip_network(text), Identity.SERVICE)
        for address in self.world.node.addresses:
            self._put_ipcache(ip_network(address), Identity.HOST)

    def _put_ipcache(self, network: IPNetwork, identity: int) -> None:
        length = network.prefixlen + (96 if network.version == 4 else 0)
        key = abi.IpcacheKey(length, packed(network.network_address)).pack()
        self.maps["ipcache"][key] = abi.IpcacheEntry(identity).pack()

    def _endpoints(self, of_address: Mapping[IPAddress, Peer], peers: Mapping[Peer, int]) -> None:
        memo: dict[tuple[object, ...], int] = {}
        for _, workload in sorted(self.world.workloads.items()):
            ingress, egress = (
                self._set_of(workload, direction, peers, memo) for direction in DIRECTIONS
            )
            for address in workload.addresses:
                number = peers[of_address[address]]
                entry = abi.Endpoint(workload.ifindex, number, ingress, egress)
                self.maps["endpoints"][packed(address)] = entry.pack()

    def _set_of(
        self,
        workload: Workload,
        direction: str,
        peers: Mapping[Peer, int],
        memo: dict[tuple[object, ...], int],
    ) -> int:
        policies = selecting(self.world, workload, direction)
        if not policies:
            return PolicySet.OPEN
        names = tuple((item.metadata.namespace, item.metadata.name) for item in policies)
        key = (direction, names, workload.ports if direction == "ingress" else ())
        if key not in memo:
            memo[key] = self._put_set(compile_set(policies, direction, workload, peers), direction)
        return memo[key]

    def _put_set(self, entries: Entries, direction: str) -> int:
        room = MAPS["policy"].max_entries - len(self.maps["policy"])
        if len(entries) > room:
            full = f"refused: policy map is full ({MAPS['policy'].max_entries} entries)"
            decision = Decision(Rule(direction, builtin=full), 0, False)
            entries = {Match(Identity.ANY): decision}
        digest = hashlib.sha256(repr(sorted(entries.items(), key=lambda e: e[0])).encode())
        number = self.allocator.get("set", digest.hexdigest()[:32])
        for match, decision in entries.items():
            key = abi.PolicyKey(match.prefix, number, match.peer, match.protocol, match.port)
            action = Action.ALLOW if decision.allow else Action.DENY
            value = abi.PolicyEntry(self._rule(decision.rule), decision.order, action)
            self.maps["policy"][key.pack()] = value.pack()
        return number

    def _rule(self, rule: Rule) -> int:
        number = self.allocator.get("rule", f"{rule.direction} {rule}")
        self.rules[number] = rule
        return number

    def _services(self) -> None:
        chosen, refused = frontends(self.world)
        self.refusals += refused
        for frontend in chosen:
            self._put_frontend(frontend)

    def _put_frontend(self, frontend: Frontend) -> None:
        number = self.allocator.get("service", frontend.name)
        rows = self._rows(frontend, number)
        table = self._put_table(rows, frontend) if rows else 0
        entry = abi.Service(number, table, len(rows), frontend.affinity_s)
        self.maps["services"][_service_key(frontend)] = entry.pack()
        self.services[number] = frontend

    def _rows(self, frontend: Frontend, service: int) -> list[abi.Slot]:
        aliases = alias_table([backend.weight for backend in frontend.backends])
        rows = []
        for backend, (keep, alias) in zip(frontend.backends, aliases, strict=True):
            address = packed(ip_address(backend.address))
            name = f"{frontend.name}->{backend.address}:{backend.port}"
            number = self.allocator.get("backend", name)
            entry = abi.Backend(service, backend.port, address)
            self.maps["backends"][_u32(number)] = entry.pack()
            rows.append(abi.Slot(keep, alias, number, backend.port, address))
        return rows

    def _put_table(self, rows: Iterable[abi.Slot], frontend: Frontend) -> int:
        """Tables are named by their content: a change makes a new one beside the old."""
        packed_rows = [row.pack() for row in rows]
        digest = hashlib.sha256(b"".join(packed_rows)).hexdigest()[:32]
        number = self.allocator.get("table", digest)
        for index, row in enumerate(packed_rows):
            self.maps["slots"][abi.SlotKey(number, index).pack()] = row
        return number


def _service_key(frontend: Frontend) -> bytes:
    protocol = PROTOCOLS[frontend.protocol]
    return abi.ServiceKey(packed(frontend.address), frontend.port, protocol).pack()


def _u32(number: int) -> bytes:
    return int(number).to_bytes(4, "little")
