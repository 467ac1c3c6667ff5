"""A small shop's names, and events as the kernel would write them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from tulle.abi import Event, Flow, Hook, Reason, RuleId, Verdict
from tulle.compile.parts import packed
from tulle.model.access import Access, Request, Socket
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import NOT_ISOLATED, Rule
from tulle.model.world import Workload
from tulle.observe.names import Names

WEB = Workload("shop", "web-1", {"app": "web"}, (ip_address("10.244.0.2"),), 7)
DB = Workload("shop", "db", {"app": "db"}, (ip_address("10.244.0.3"), ip_address("fd00::3")), 8)
DB_POLICY = ObjectRef("NetworkPolicy", "shop", "db")
DB_SERVICE = ObjectRef("Service", "shop", "db")
NAMES = Names(
    node="lab-1",
    workloads={address: item for item in (WEB, DB) for address in item.addresses},
    cgroups={4242: WEB},
    identities={2: ("reserved:world",), 257: ("k8s:app=web",), 260: ("k8s:app=db",)},
    rules={
        int(RuleId.NOT_ISOLATED): Rule("", builtin=NOT_ISOLATED),
        300: Rule("ingress", DB_POLICY, 0),
        301: Rule("ingress", DB_POLICY),
    },
    services={9: DB_SERVICE},
    service_addresses={ip_address("10.96.0.10"): DB_SERVICE},
    clock_offset_ns=1_700_000_000_000_000_000,
)
SYN, ACK = 2, 16


def event(
    reason: int = Reason.ALLOWED,
    *,
    src: str = "10.244.0.2",
    dst: str = "10.244.0.3",
    proto: int = 6,
    flags: int = SYN,
    rules: tuple[int, int] = (RuleId.NOT_ISOLATED, 300),
    hook: int = Hook.FROM_WORKLOAD,
    time_ns: int = 123_456_789,
    identities: tuple[int, int] = (257, 260),
    audit: int = RuleId.NONE,
) -> Event:
    """From web-1 to db:5432, unless told otherwise; `rules` are egress and ingress."""
    flow = Flow(packed(ip_address(src)), packed(ip_address(dst)), 43512, 5432, proto, flags, 0, 7)
    verdict = Verdict(int(reason), *identities, 7, 8, int(rules[0]), int(rules[1]), int(audit))
    return Event(time_ns, flow._replace(hook=int(hook)), verdict, 60)


def access(status: int = 200, path: str = "/cart?id=1", **changes: Any) -> Access:
    """web-1 asked the service for db, by a route's first rule, unless told otherwise."""
    made = Access(
        time_ns=1_700_000_000_123_456_789,
        duration_ns=3_400_000,
        source=Socket(ip_address("10.244.0.2"), 43512),
        asked=Socket(ip_address("10.96.0.10"), 80),
        backend=Socket(ip_address("10.244.0.3"), 8080),
        request=Request("GET", "http", "db", path, "HTTP/1.1"),
        status=status,
        front="service/shop/db/80",
        rule="HTTPRoute/shop/db/0",
    )
    return replace(made, **changes)
