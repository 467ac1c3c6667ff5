"""How flows look."""

import json
import time
from collections.abc import Iterator

import pytest

from tulle.abi import Event, Flow, Reason, Verdict
from tulle.observe.flows import flow_of
from tulle.observe.requests import request_flow
from tulle.observe.text import FORMATS, as_dict, as_json, compact, writer

from .samples import NAMES, access, event

DENIED = flow_of(event(Reason.POLICY_DENIED, rules=(1, 301)), NAMES)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC-1")  # POSIX: one hour ahead of UTC
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_compact() -> None:
    assert compact(DENIED) == (
        "Nov 14 23:13:20.123: shop/web-1:43512 (ID:257) -> shop/db:5432 (ID:260)"
        " policy-verdict:INGRESS DROPPED (TCP Flags: SYN)"
        " default deny by NetworkPolicy shop/db (ingress)"
    )


def test_compact_of_a_request() -> None:
    assert compact(request_flow(access(), NAMES)) == (
        "Nov 14 23:13:20.123: shop/web-1:43512 -> shop/db:8080 http-response FORWARDED"
        " (HTTP/1.1 200 3ms (GET http://db/cart?id=1)) HTTPRoute shop/db rules[0]"
    )
    lines = as_dict(request_flow(access(503, flags=("URX", "UF")), NAMES)).splitlines()
    assert "     VERDICT: ERROR" in lines
    assert "       FLAGS: URX, UF" in lines
    assert "     BACKEND: shop/db:8080" in lines


def test_compact_of_a_connection_that_the_proxy_passed_on() -> None:
    stream = access(request=None, rule="TLSRoute/shop/db/0", bytes_in=7, bytes_out=9)
    assert compact(request_flow(stream, NAMES)).endswith(
        " -> shop/db:8080 connection FORWARDED (3ms, 7 bytes in, 9 out) TLSRoute shop/db rules[0]"
    )


def test_compact_of_foreign_ends() -> None:
    world = event(
        Reason.NO_SERVICE_PORT, src="fd01::1", dst="10.96.0.10", rules=(0, 0), identities=(2, 3)
    )
    assert compact(flow_of(world, NAMES)).endswith(
        ": [fd01::1]:43512 (world) -> shop/db:5432 (ID:3) drop DROPPED (TCP Flags: SYN)"
        " Service shop/db has no port 5432/TCP"
    )


def test_compact_of_a_packet_that_did_not_parse() -> None:
    broken = Event(verdict=Verdict(int(Reason.MALFORMED)), flow=Flow(hook=1))
    line = compact(flow_of(broken, NAMES))
    assert line.endswith(": unknown -> unknown drop DROPPED malformed packet")


def test_audit_is_followed_by_the_rule_that_would_have_denied() -> None:
    flow = flow_of(event(audit=301), NAMES)
    assert compact(flow).endswith(
        " policy-verdict:INGRESS AUDIT (TCP Flags: SYN)"
        " default deny by NetworkPolicy shop/db (ingress)"
    )
    lines = as_dict(flow).splitlines()
    assert "  AUDIT RULE: default deny by NetworkPolicy shop/db (ingress)" in lines
    assert "        HOOK: from-workload" in lines


def test_dict() -> None:
    lines = as_dict(DENIED).splitlines()
    assert "      SOURCE: shop/web-1:43512 (ID:257)" in lines
    assert "  DECIDED BY: default deny by NetworkPolicy shop/db (ingress)" in lines
    assert lines[-1] == "------------"


def test_json_is_one_line_of_hubble_s_response() -> None:
    line = as_json(DENIED)
    assert "\n" not in line
    assert json.loads(line) == {"flow": DENIED, "node_name": "lab-1", "time": DENIED["time"]}


def test_colours_come_from_the_style_alone() -> None:
    assert "<DROPPED red>" in compact(DENIED, lambda text, colour: f"<{text} {colour}>")
    assert all("\x1b" not in writer(form)(DENIED) for form in FORMATS)
