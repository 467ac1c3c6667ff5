"""World → Image: what every derived map of the kernel should hold, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import groupby

from tulle import abi
from tulle.abi import MAPS, Action, Identity, PolicySet, RuleId
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import NOT_ISOLATED, Rule
from tulle.model.world import IPAddress, IPNetwork, Refusal, Workload, World

from .balance import alias_table
from .capacity import Limits, fit, full
from .identities import Distinctions, Peer
from .ids import SPACES, Allocator, Ids
from .policies import PROTOCOLS, Decision, Match, compile_set, rules_of, selecting
from .policies import PolicySet as Entries
from .services import Frontend, addresses_of, frontends

Image = Mapping[str, Mapping[bytes, bytes]]
DERIVED = ("policy", "slots", "backends", "rules", "ipcache", "endpoints", "services")
DIRECTIONS = ("ingress", "egress")
# Half of each map, as a change puts the new beside the old before it deletes that.
LIMITS: Limits = {name: MAPS[name].max_entries // 2 for name in DERIVED}
# Kept free for those whose policies do not fit: a rule and an entry per direction and full map.
DENIALS = 4


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


def compile_world(world: World, ids: Ids, limits: Limits = LIMITS) -> Compiled:
    """Services must have their addresses (`with_addresses`).

    What does not fit into `limits` is among the refusals, and denied where it concerns policy.
    """
    return _Compilation(world, ids, limits).run()


def counters_above(image: Image) -> Ids:
    """Ids whose counters stand above every number in an image whose names are lost."""
    policy = [
        (abi.PolicyKey.unpack(key), abi.PolicyEntry.unpack(value))
        for key, value in image.get("policy", {}).items()
    ]
    endpoints = [abi.Endpoint.unpack(value) for value in image.get("endpoints", {}).values()]
    services = [abi.Service.unpack(value) for value in image.get("services", {}).values()]
    known = [abi.IpcacheEntry.unpack(value).identity for value in image.get("ipcache", {}).values()]
    known += [key.peer for key, _ in policy] + [item.identity for item in endpoints]
    seen = {
        "set": [key.set for key, _ in policy],
        "rule": [entry.rule for _, entry in policy],
        "identity": known,
        "service": [item.id for item in services],
        "table": [item.table for item in services],
        "backend": [int.from_bytes(key, "little") for key in image.get("backends", {})],
    }
    return Ids(
        {}, {kind: SPACES[kind].after(max(numbers, default=0)) for kind, numbers in seen.items()}
    )


class _Compilation:
    def __init__(self, world: World, ids: Ids, limits: Limits) -> None:
        self.world, self.refusals = fit(world, limits)
        self.limits = limits
        self.allocator = Allocator(ids)
        self.maps: dict[str, dict[bytes, bytes]] = {name: {} for name in DERIVED}
        self.distinctions = Distinctions(self.world.policies.values())
        self.rules: dict[Rule, int] = {Rule("", builtin=NOT_ISOLATED): int(RuleId.NOT_ISOLATED)}
        self.services: dict[int, Frontend] = {}

    def run(self) -> Compiled:
        of_address, peers = self._identities()
        unplaced = self._ipcache(peers)
        self._endpoints(of_address, peers)
        self._services(unplaced)
        self._keep_rules()
        self.maps["rules"] = {_u32(number): b"" for number in self.rules.values()}
        return Compiled(
            self.maps,
            self.allocator.freeze(),
            {number: rule for rule, number in self.rules.items()},
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

    def _overflow(self, **needed: int) -> str:
        """Says which map cannot hold so many entries more; empty if all can."""
        for name, count in needed.items():
            if len(self.maps[name]) + count > self.limits[name]:
                return full(name, self.limits)
        return ""

    def _ipcache(self, peers: Mapping[Peer, int]) -> set[ObjectRef]:
        """Returns the services whose addresses find no room."""
        unplaced = set()
        for network in sorted(self.distinctions.networks(), key=str):
            number = peers.get(self.distinctions.network(network), int(Identity.WORLD))
            self._put_ipcache(network, number)
        nodes = self.world.node.addresses
        for _, service in sorted(self.world.services.items()):
            addresses = addresses_of(service)
            if overflow := self._overflow(ipcache=len(addresses) + len(nodes)):
                self.refusals.append(Refusal(ref_of(service), overflow))
                unplaced.add(ref_of(service))
                continue
            for address in addresses:
                self._put_ipcache(ip_network(address), Identity.SERVICE)
        for address in nodes:
            self._put_ipcache(ip_network(address), Identity.HOST)
        return unplaced

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
            entries = compile_set(policies, direction, workload, peers)
            if overflow := self._set_overflow(entries):
                reason = f"{overflow}: all {direction} of {workload} is denied"
                self.refusals += [Refusal(ref_of(policy), reason) for policy in policies]
                refused = Rule(direction, builtin=f"refused: {overflow}")
                entries = {Match(Identity.ANY): Decision(refused, 0, False)}
            memo[key] = self._put_set(entries)
        return memo[key]

    def _set_overflow(self, entries: Entries) -> str:
        fresh = {decision.rule for decision in entries.values()} - self.rules.keys()
        if len(self.rules) + len(fresh) + DENIALS > self.limits["rules"]:
            return full("rules", self.limits)
        return self._overflow(policy=len(entries) + DENIALS)

    def _put_set(self, entries: Entries) -> int:
        digest = hashlib.sha256(repr(sorted(entries.items(), key=lambda e: e[0])).encode())
        number = self.allocator.get("set", digest.hexdigest()[:32])
        for match, decision in entries.items():
            key = abi.PolicyKey(match.prefix, number, match.peer, match.protocol, match.port)
            action = Action.ALLOW if decision.allow else Action.DENY
            value = abi.PolicyEntry(self._rule(decision.rule), decision.order, action)
            self.maps["policy"][key.pack()] = value.pack()
        return number

    def _rule(self, rule: Rule) -> int:
        if rule not in self.rules:
            self.rules[rule] = self.allocator.get("rule", f"{rule.direction} {rule}")
        return self.rules[rule]

    def _keep_rules(self) -> None:
        """A rule that decides nothing now keeps its number, and so its counter, while it stands."""
        for _, policy in sorted(self.world.policies.items()):
            for rule in rules_of(policy):
                if len(self.rules) < self.limits["rules"]:
                    self._rule(rule)

    def _services(self, unplaced: Container[ObjectRef]) -> None:
        chosen, refused = frontends(self.world)
        self.refusals += refused
        for ref, group in groupby(chosen, key=lambda item: item.service):
            if ref in unplaced:
                continue
            own = list(group)
            rows = sum(len(frontend.backends) for frontend in own)
            if overflow := self._overflow(services=len(own), slots=rows, backends=rows):
                self.refusals.append(Refusal(ref, overflow))
                continue
            for frontend in own:
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
