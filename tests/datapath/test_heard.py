"""What workloads hear of DNS, packet by packet: what is believed, for how long, and of how many.

TULLE_DNS_TRIES makes a night's run of the first connections after an answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from struct import pack
from typing import NamedTuple

import pytest

from tests.datapath import frames
from tests.datapath.kernel import LOOPBACK, SECOND_NS, Kernel, flow, kernel_of
from tests.unit.compile.objects import workload, world_of
from tulle import abi
from tulle.abi import HearerLimit, Hook, NameLimit, Reason
from tulle.compile.parts import packed

TRIES = int(os.environ.get("TULLE_DNS_TRIES", "500"))
CLIENT, RESOLVER, OTHER, WANTED = "10.0.0.1", "192.0.2.53", "192.0.2.54", "203.0.113.7"
REDIRECT = 7  # TC_ACT_REDIRECT: back to who asked
STRANGER = 77  # an interface that no frame comes by
POLICY = """
kind: CiliumNetworkPolicy
metadata: {name: names}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
    - toCIDR: [192.0.2.0/24]
      toPorts:
        - ports: [{port: "53", protocol: UDP}, {port: "5353", protocol: UDP}]
          rules: {dns: [{matchPattern: "**.example"}, {matchName: only-asked.test}]}
    - toFQDNs: [{matchPattern: "**.example"}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
"""
BESIDE = f"""{POLICY}
    - toEntities: [world]
      toPorts: [{{ports: [{{port: "80", protocol: TCP}}], rules: {{http: [{{path: /}}]}}}}]
"""
AUDIT = POLICY.replace("names}", 'names, annotations: {tulle.io/audit: "true"}}')
A, AAAA, CNAME, IN = 1, 28, 5, 1


def name_bytes(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


class Asked(NamedTuple):
    """A question, and how its answer differs from what it should be."""

    name: str = "api.example"
    number: int = 4711
    port: int = 40000
    resolver: str = RESOLVER
    resolver_port: int = 53
    kind: int = A
    of: int = IN
    flags: int = 0x8180
    owner: str = ""

    def question(self) -> bytes:
        head = pack("!6H", self.number, 0x0100, 1, 0, 0, 0)
        message = head + name_bytes(self.name) + pack("!HH", self.kind, self.of)
        datagram = frames.udp(self.port, self.resolver_port, message)
        return frames.ether(frames.ipv4(CLIENT, self.resolver, frames.UDP, datagram))

    def answer(self, *addresses: str, ttl_s: int = 300) -> bytes:
        message = pack("!6H", self.number, self.flags, 1, len(addresses), 0, 0)
        message += name_bytes(self.name) + pack("!HH", self.kind, self.of)
        for address in addresses:
            owner = name_bytes(self.owner or self.name)
            message += owner + pack("!HHIH", A, IN, ttl_s, 4) + ip_address(address).packed
        datagram = frames.udp(self.resolver_port, self.port, message)
        return frames.ether(frames.ipv4(self.resolver, CLIENT, frames.UDP, datagram))


ASKED = Asked()


class Client:
    """The workload of the loopback's interface."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self._port = kernel, 1024
        kernel.forget()
        kernel.datapath.heard.forget({LOOPBACK, STRANGER})
        self.under(POLICY)

    def under(self, policy: str) -> None:
        self.kernel.move_to(world_of(workload("client-1", app="client"), text=policy))

    def asks(self, asked: Asked = ASKED) -> Reason:
        return self.kernel.judge("from_workload", asked.question())

    def hears(self, asked: Asked, *addresses: str, ttl_s: int = 300) -> None:
        self.kernel.pass_frame("to_workload", asked.answer(*addresses, ttl_s=ttl_s))

    def connects(self, address: str = WANTED, port: int = 0) -> Reason:
        self._port += not port
        segment = frames.tcp(port or self._port, 80, frames.SYN)
        packet = frames.ipv4(CLIENT, address, frames.TCP, segment)
        return self.kernel.judge("from_workload", frames.ether(packet))

    def count(self, name: str) -> int:
        return sum(1 for _ in self.kernel.maps[name].items())

    def told(self) -> list[abi.DnsEvent]:
        return [abi.DnsEvent.unpack(raw) for raw in self.kernel.datapath.questions()]

    def change(self, name: str, change: Callable[[bytes], bytes]) -> None:
        for key, value in list(self.kernel.maps[name].items()):
            self.kernel.maps[name][key] = change(value)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with kernel_of("heard") as made:
        yield made


@pytest.fixture
def client(kernel: Kernel) -> Client:
    return Client(kernel)


LIES = {
    "id": Asked(number=4712),
    "port": Asked(port=40001),
    "resolver": Asked(resolver=OTHER),
    "resolver's port": Asked(resolver_port=5353),
    "name": Asked(name="other.example"),
    "longer name": Asked(name="x.api.example"),
    "type": Asked(kind=AAAA),
    "class": Asked(of=3),
    "no answer": Asked(flags=0x0100),
    "status": Asked(flags=0x8182),
    "notify": Asked(flags=0xA180),
    "another's record": Asked(owner="other.example"),
}


def test_only_what_was_asked_is_believed_and_once(client: Client) -> None:
    """Lies of every kind, and a flood of guesses, open nothing, nor do they spoil the truth."""
    asked = Asked()
    client.hears(asked, WANTED)  # of what nobody has asked yet
    assert client.asks(asked) == Reason.ALLOWED
    del_owner = {name: lie for name, lie in LIES.items() if not lie.owner and lie.flags == 0x8180}
    for name, lie in del_owner.items():
        # Else there would be no connection in which the lie could be an answer.
        assert client.asks(lie._replace(name="another.example", number=1)) < Reason.DROP
        client.hears(lie, WANTED)
        assert client.connects() == Reason.POLICY_DENIED, name
    for guess in range(2000):
        client.hears(Asked(number=(asked.number + 1 + guess * 31) % 65536), WANTED)
    assert client.count("dns_learned") == 0
    client.hears(asked, "203.0.113.8")
    client.hears(asked, WANTED)  # a second answer
    assert client.connects() == Reason.POLICY_DENIED
    assert client.connects("203.0.113.8") == Reason.ALLOWED
    for name, lie in LIES.items() - del_owner.items():
        client.asks(asked)
        client.hears(lie, WANTED)
        assert client.connects() == Reason.POLICY_DENIED, name
    client.asks(asked)
    client.change("dns_asked", _aged)
    client.hears(asked, WANTED)
    assert client.connects() == Reason.POLICY_DENIED, "late"
    assert client.count("dns_learned") == 1


def _aged(value: bytes) -> bytes:
    asked = abi.Asked.unpack(value)
    late_s = NameLimit.ASKED_S + 1
    return asked._replace(time_ns=time.monotonic_ns() - late_s * SECOND_NS).pack()


def test_a_name_expires_for_those_who_come_later_only(client: Client) -> None:
    client.asks()
    client.hears(Asked(), WANTED, ttl_s=0)
    [(_, row)] = client.kernel.maps["dns_learned"].items()
    floor_s = NameLimit.FLOOR_S + NameLimit.GRACE_S
    left_s = abi.Learned.unpack(row).expires_ns[0] / SECOND_NS - time.monotonic()
    assert floor_s - 5 < left_s <= floor_s
    assert client.connects(port=999) == Reason.ALLOWED
    client.change("dns_learned", lambda value: value[:64] + bytes(64))
    client.kernel.datapath.raise_epoch()
    assert client.connects() == Reason.POLICY_DENIED
    assert client.connects(port=999) == Reason.ESTABLISHED
    client.asks()
    client.hears(Asked(), WANTED)
    assert client.connects() == Reason.ALLOWED


def test_the_first_connection_after_an_answer_passes(client: Client) -> None:
    """However many names there were before, and whoever shares the address."""
    for turn in range(TRIES):
        asked = Asked(f"h{turn % 700}.example", turn % 65536, 20000 + turn % 40000)
        address = f"203.0.{turn % 1500 // 250}.{turn % 250}"
        assert client.asks(asked) == Reason.ALLOWED
        client.hears(asked, address)
        assert client.connects(address) == Reason.ALLOWED, turn


def test_who_asks_for_much_forgets_his_own_only(client: Client) -> None:
    maps = client.kernel.maps
    stranger = abi.LearnedKey(packed(ip_address(WANTED)), STRANGER).pack()
    maps["dns_learned"][stranger] = abi.Learned().pack()
    many = HearerLimit.ADDRESSES // 4 + 100
    for turn in range(many):
        asked = Asked(f"h{turn}.example", turn)
        client.asks(asked)
        if turn >= HearerLimit.QUESTIONS // 8:
            client.hears(asked, *(f"198.51.{turn // 60}.{turn % 60 * 4 + n}" for n in range(4)))
    assert client.count("dns_learned") == client.count("dns_learned_at") + 1
    assert client.count("dns_learned") == HearerLimit.ADDRESSES + 1
    assert stranger in dict(maps["dns_learned"].items())
    last, first = "198.51.5.223", f"198.51.0.{HearerLimit.QUESTIONS // 8 * 4}"
    assert client.connects(last) == Reason.ALLOWED
    assert client.connects(first) == Reason.POLICY_DENIED
    hearer = client.kernel.datapath.heard.hearers()[LOOPBACK]
    assert hearer.forgotten == hearer.addresses - HearerLimit.ADDRESSES > 0
    for turn in range(HearerLimit.NAMES):
        asked = Asked(f"n{turn}.example", turn)
        client.asks(asked)
        client.hears(asked, WANTED)
    assert client.count("dns_names") == client.count("dns_numbers") == HearerLimit.NAMES
    assert client.count("dns_asked") == client.count("dns_asked_at") <= HearerLimit.QUESTIONS
    hearer = client.kernel.datapath.heard.hearers()[LOOPBACK]
    assert hearer.displaced == hearer.names - HearerLimit.NAMES > 0
    names = client.kernel.datapath.heard.names(LOOPBACK, packed(ip_address(WANTED)), fresh=False)
    assert len(names) == NameLimit.OF_ADDRESS and f"n{HearerLimit.NAMES - 1}.example" in names
    client.kernel.datapath.heard.forget({LOOPBACK})
    assert [key for key, _ in maps["dns_learned"].items()] == [stranger]
    assert not client.kernel.datapath.heard.hearers()


def test_questions_that_nobody_answered_make_room(client: Client) -> None:
    """Not as long as they may still be."""
    asked, limit = client.kernel.maps["dns_asked"], client.kernel.maps["dns_asked"].max_entries
    client.asks()
    [(key, value)] = asked.items()
    of, row = abi.AskedKey.unpack(key), abi.Asked.unpack(value)
    client.hears(ASKED, WANTED)
    assert client.count("dns_asked") == client.count("dns_asked_at") == 0
    others = [abi.HearerPlace(STRANGER, place) for place in range(limit)]
    questions = [
        of._replace(ifindex=STRANGER, id=place % 65536, port=place // 65536)
        for place in range(limit)
    ]
    places = zip(others, questions, strict=True)
    client.kernel.maps["dns_asked_at"].update_many((at.pack(), key.pack()) for at, key in places)
    asked.update_many(
        (key.pack(), row._replace(place=place).pack()) for place, key in enumerate(questions)
    )
    later = ASKED._replace(name="later.example")
    client.asks(later)
    client.hears(later, "203.0.113.8")
    assert client.connects("203.0.113.8") == Reason.POLICY_DENIED
    assert client.kernel.datapath.heard.hearers()[LOOPBACK].refused == 1
    late = row._replace(time_ns=row.time_ns - (NameLimit.ASKED_S + 1) * SECOND_NS)
    asked.update_many(
        (key.pack(), late._replace(place=place).pack()) for place, key in enumerate(questions)
    )
    time.sleep(1.1)  # it is looked for room once in a second
    client.asks(later)
    client.hears(later, "203.0.113.8")
    assert client.connects("203.0.113.8") == Reason.ALLOWED
    assert client.count("dns_asked") == client.count("dns_asked_at") == 0


def test_of_very_much_a_part_is_told_and_all_is_counted(client: Client) -> None:
    client.told()
    count = 3 * HearerLimit.TOLD
    for turn in range(count):
        client.asks(Asked(f"h{turn}.example", turn))
        client.kernel.pass_frame("from_workload", Asked(f"h{turn}.evil", turn).question())
    hearer = client.kernel.datapath.heard.hearers()[LOOPBACK]
    told = [item.reason for item in client.told()]
    assert (hearer.asked, hearer.denied) == (count, count)
    assert hearer.untold == 2 * count - len(told) > 0
    for reason in (Reason.ALLOWED, Reason.DNS_REFUSED):
        assert told.count(reason) >= HearerLimit.TOLD


def test_questions_and_answers_are_told(client: Client) -> None:
    """With what audit mode lets pass, which is heard as well."""
    client.told()
    asked, refused = Asked("only-asked.test"), Asked("evil.test", kind=AAAA)
    client.asks(asked)
    client.hears(asked, WANTED, OTHER, ttl_s=9)
    assert client.connects() == Reason.POLICY_DENIED  # it may be asked for, and no more
    assert client.kernel.pass_frame("from_workload", refused.question()) == REDIRECT
    client.under(AUDIT)
    client.asks(refused)
    client.hears(refused)
    first, answer, no, passed, empty = client.told()
    assert [item.reason for item in (first, no)] == [Reason.ALLOWED, Reason.DNS_REFUSED]
    assert (answer.found, answer.ttl_s, answer.qtype) == (2, 9, A)
    assert answer.address[:2] == (packed(ip_address(WANTED)), packed(ip_address(OTHER)))
    assert (no.qtype, no.unmet, passed.unmet, empty.found) == (AAAA, 0, 1, 0)
    assert all(item.rule for item in (first, answer, no))
    assert passed.text[: passed.bits // 8] == b"tset.live."


def test_a_name_allows_all_of_a_port_where_others_have_rules_of_layer_7(client: Client) -> None:
    """And in audit mode nothing is told of those whom a name would allow."""
    client.asks()
    client.hears(ASKED, WANTED)
    for text in (BESIDE, AUDIT):
        client.under(text)
        named, other = (
            client.kernel.track(
                flow(
                    *(CLIENT, address, frames.TCP),
                    sport=5000 + len(text),
                    dport=80,
                    tcp_flags=frames.SYN,
                    ifindex=LOOPBACK,
                    hook=Hook.FROM_WORKLOAD,
                ),
                time.monotonic(),
            )
            for address in (WANTED, "203.0.113.8")
        )
        assert named.reason == other.reason == Reason.ALLOWED
        assert (named.to_proxy, named.audit_rule) == (0, 0)
        assert bool(other.to_proxy) == (text is BESIDE)
        assert bool(other.audit_rule) == (text is AUDIT)
