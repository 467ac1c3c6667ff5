"""What forces routes into the proxy."""

from __future__ import annotations

from ipaddress import ip_address

from tulle.agent.routed_rungs import PASSES, READS, routed
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    Front,
    RequestMatch,
    Retry,
    Routing,
    Rule,
    Server,
    Stream,
    VirtualHost,
)

HTTP, TLS = ObjectRef("HTTPRoute", "shop", "web"), ObjectRef("TLSRoute", "shop", "db")
WEB = Destination(("shop", "web"), 80)


def front(*servers: Server, mesh: bool = True) -> Front:
    address = ip_address("10.96.0.1")
    return Front("f", HTTP, ("shop", "web"), (address,), 80, mesh=mesh, servers=servers)


def shown(*fronts: Front) -> dict[str, str]:
    fronts_of = {str(number): item for number, item in enumerate(fronts)}
    return {name: why for (_, name), why in routed(Routing(fronts_of)).items()}


def test_each_rule_says_what_of_it_is_read() -> None:
    plain, split = Rule(HTTP, 0), Rule(HTTP, 1, "split", destinations=(WEB, WEB), retry=Retry())
    entries = (
        (RequestMatch(), plain),
        (RequestMatch(), split),
        (RequestMatch("/a"), split),
    )
    server = Server("s", hosts=(VirtualHost("*", entries),))
    assert shown(front(server)) == {
        f"{HTTP} rules[0]": READS,
        f"{HTTP} rules[split]": f"{READS}: weights, retries, matches",
    }
    assert shown(front(server, mesh=False))[f"{HTTP} rules[0]"] == f"{READS}: clients from outside"


def test_streams_are_passed_on() -> None:
    named, own = Stream((WEB,), TLS, 2, ("a.test",)), Stream((WEB,))
    assert shown(front(Server("s", protocol="TLS", streams=(named, own)))) == {
        f"{TLS} rules[2]": f"{PASSES}: server names"
    }
