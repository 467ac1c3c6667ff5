from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.unit.observe.samples import NAMES, access, event
from tulle.abi import Event, Hook, Reason, RuleId
from tulle.agent.flowlog import FlowLog
from tulle.agent.kube import denials
from tulle.agent.kube.denials import Denials, watch
from tulle.agent.kube.events import Happening, Recorder
from tulle.model.access import Access, Request, Socket
from tulle.model.kubernetes import ObjectRef

DB, WEB = ObjectRef("Pod", "shop", "db"), ObjectRef("Pod", "shop", "web-1")
INGRESS = Happening(
    DB,
    "IngressDenied",
    "Deny",
    "denied from shop/web-1 to 5432/TCP: default deny by NetworkPolicy shop/db (ingress)",
)


def denied(egress: int = RuleId.NOT_ISOLATED, ingress: int = 301) -> Event:
    return event(Reason.POLICY_DENIED, rules=(egress, ingress))


def told(*events: Event) -> list[tuple[Happening, int]]:
    found = Denials()
    found.add(item.pack() for item in events)
    return found.take(NAMES)


def test_the_pod_whose_rule_it_was_is_told_of() -> None:
    assert told(denied()) == [(INGRESS, 1)]
    [(found, _)] = told(denied(egress=300, ingress=0))
    assert (found.ref, found.reason) == (WEB, "EgressDenied")
    assert found.note.startswith("denied to shop/db 5432/TCP: ")


def test_the_same_again_is_counted_whatever_port_the_client_has() -> None:
    first = denied()
    again = first._replace(flow=first.flow._replace(sport=1), time_ns=5)
    other = first._replace(flow=first.flow._replace(dport=80))
    assert [count for _, count in told(first, again, other, again)] == [3, 1]


def test_each_look_tells_what_came_since() -> None:
    found = Denials()
    for number in (2, 1):
        found.add([denied().pack()] * number)
        assert found.take(NAMES) == [(INGRESS, number)]
    assert found.take(NAMES) == []


def test_what_was_no_denial_or_of_no_pod_is_not_told() -> None:
    nobody = replace(NAMES, workloads={})
    error = denied()._replace(flow=denied().flow._replace(icmp_error=1))
    assert told(event(), event(Reason.MALFORMED), error) == []
    found = Denials()
    found.add([denied().pack()])
    assert found.take(nobody) == []


def test_a_peer_without_a_name_is_an_address() -> None:
    found = Denials()
    found.add([denied().pack()])
    known = {key: item for key, item in NAMES.workloads.items() if item.name == "db"}
    [(happening, _)] = found.take(replace(NAMES, workloads=known))
    assert happening.note.startswith("denied from 10.244.0.2 to 5432/TCP: ")


def test_the_table_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_TABLE", 2)
    first = denied()
    many = [first._replace(flow=first.flow._replace(dport=port)) for port in (1, 2, 3, 1)]
    assert [count for _, count in told(*many)] == [2, 1]


class Heard(Recorder):
    def __init__(self) -> None:
        self.heard: list[tuple[Happening, int]] = []

    def tell(self, what: Happening, times: int = 1) -> None:
        self.heard.append((what, times))


def test_flows_are_watched_from_now_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "PERIOD_S", 0)

    async def go() -> None:
        log, heard = FlowLog(), Heard()
        await log.add([denied().pack()])
        task = asyncio.create_task(watch(heard, log, lambda: NAMES))
        for _ in range(5):
            await asyncio.sleep(0)
        await log.add([denied().pack(), event().pack(), denied().pack()])
        async with asyncio.timeout(10):
            while not heard.heard:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert heard.heard == [(INGRESS, 2)]
        task.cancel()

    asyncio.run(go())


def test_where_a_packet_came_in_says_whose_rule_it_was() -> None:
    first = denied(egress=0, ingress=0)
    inward = first._replace(flow=first.flow._replace(hook=int(Hook.FROM_OVERLAY)))
    assert [found.ref for found, _ in told(inward)] == [DB]


class Entry:
    """As the proxy tells of a request."""

    def __init__(self, made: Access) -> None:
        self._made = made

    def access(self) -> Access:
        return self._made


_BY = "CiliumNetworkPolicy shop/db ingress[0]"
_REFUSED = access(403, front="policy/shop/db", backend=None, denied_by=_BY)
_REFUSED = replace(_REFUSED, asked=Socket(ip_address("10.244.0.3"), 8080))


def test_requests_that_a_policy_refused_are_told_by_pair_whatever_they_asked_for() -> None:
    found = Denials()
    again = replace(_REFUSED, request=Request("GET", "http", "db", "/else", "HTTP/1.1"))
    found.add(map(Entry, (_REFUSED, again, access(200), access(503))))
    note = f"denied requests from shop/web-1 to 8080/TCP: {_BY}"
    assert found.take(NAMES) == [(Happening(DB, "IngressDenied", "Deny", note), 2)]


def test_of_many_requests_only_so_many_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_REQUESTS", 3)
    found = Denials()
    found.add([Entry(_REFUSED)] * 10)
    assert [count for _, count in found.take(NAMES)] == [3]
