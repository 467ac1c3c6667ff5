"""What `tulle explain` says of requests where rules of policies read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tulle.compile.explain import end_at
from tulle.compile.explain.cilium_requests import (
    allowing,
    answering,
    in_words,
    is_dns,
    is_tls,
    port_rule,
    settled,
)
from tulle.compile.explain.kernel_requests import unreadable
from tulle.compile.explain.requests import Request
from tulle.compile.http import Held, hold
from tulle.compile.proxy import scope_of_rules
from tulle.compile.speech import unread_ports
from tulle.compile.translate.layer7 import layer7
from tulle.model.dns import normal
from tulle.model.scopes import NODE
from tulle.model.verdict import Flow, RequestRule, Verdict
from tulle.model.world import World

Json = dict[str, Any]
Rules = tuple[RequestRule, ...]  # that one end asks
RUNG_REASON = "rules of policies read its requests, which the node's proxy does"
DNS_REASON = "rules of policies read its questions, which the kernel does"
OWN_REASON = "rules of policies read its requests, in the proxy of {}"
HELD_REASON = "rules of policies read its requests, which the kernel does in their packets"
AMBIGUOUS = "400: the request can be read in more than one way"


def judged(world: World, verdict: Verdict, request: Request | None, flow: Flow) -> Json:
    """The fields of a result that are about requests, and those that they change.

    `flow` is what arrives at the server.

    `allows` are what is allowed of a connection of which nobody said what it will carry, `answer`
    is what the proxy says itself, `request_rules` name what lets a request pass at either end.
    """
    if not verdict.allowed or not (verdict.requests or verdict.audit_requests):
        return {"allows": [], "answer": None, "request_rules": []}
    if any(is_dns(world, rule) for rule in (*verdict.requests, *verdict.audit_requests)):
        return {"rung": 2, "rung_reason": DNS_REASON} | _of_question(world, verdict, request)
    audit = bool(verdict.audit_requests)
    ends = list(_by_end((*verdict.requests, *verdict.audit_requests)))
    unread = _unread(world, flow)
    held = {end: _held(world, end, unread, audit=audit) for end in ends}
    rung, reason = _rung(world, held)
    read: Json = {"rung": rung, "rung_reason": reason}
    if request is None:
        return read | {
            "allows": [_told(world, rule) for rule in verdict.requests],
            "answer": None,
            "request_rules": [],
        }
    looks = {
        end[0].rule.direction: found.asked
        for end, found in held.items()
        if not isinstance(found, str)
    }
    return read | {"allows": []} | _of_request(world, verdict, request, looks)


def _of_question(world: World, verdict: Verdict, request: Request | None) -> Json:
    """Of a name that is asked for, or of all that may be."""
    if request is None or not request.question:
        allows = [_told(world, rule) for rule in verdict.requests]
        return {"allows": allows, "answer": None, "request_rules": []}
    name = normal(request.question)
    passed = answering(world, verdict.requests, name)
    if verdict.requests and not passed:
        named = ", ".join(map(str, verdict.requests))
        refused = _denied(f"REFUSED: not allowed by {named}", [])
        return {"allows": []} | refused | {"reason": "DNS_REFUSED"}
    found: Json = {"allows": [], "answer": None, "request_rules": [passed] if passed else []}
    if verdict.audit_requests and not answering(world, verdict.audit_requests, name):
        found["audit_rule"] = ", ".join(map(str, verdict.audit_requests))
    return found


def _rung(world: World, held: Mapping[Rules, Held | str]) -> tuple[int, str]:
    """Of the rules of each end, in the kernel's form or with why it does not judge by them."""
    reasons = {end: found for end, found in held.items() if isinstance(found, str)}
    if not reasons:
        return 2, HELD_REASON
    scopes = dict.fromkeys(scope_of_rules(world, (item.rule for item in end)) for end in reasons)
    told = RUNG_REASON if list(scopes) == [NODE] else OWN_REASON.format(" and ".join(scopes))
    return 3, f"{told} ({'; '.join(dict.fromkeys(reasons.values()))})"


def _unread(world: World, flow: Flow) -> str:
    """Why the kernel would not read what comes to the port; "" if it is not known to differ."""
    server = end_at(world, flow.dst).workload
    ports = dict(unread_ports(world, server)) if server and flow.protocol == "TCP" else {}
    return ports.get(flow.dport, "")


def _held(world: World, end: Rules, unread: str, *, audit: bool) -> Held | str:
    said = ((str(item.rule), layer7(port_rule(world, item), item.place, [])) for item in end)
    outgoing = any(item.rule.direction == "egress" for item in end)
    parts = [(name, part) for name, part in said if part]
    return hold(
        world.settings.stream, parts, audit=audit, outgoing=outgoing, host=False, unread=unread
    )


def _of_request(
    world: World, verdict: Verdict, request: Request, looks: Mapping[str, frozenset[str]]
) -> Json:
    """`looks` are the directions in which the kernel judges, with the headers that it looks at.

    It reads what comes as it comes.
    """
    found, came = settled(request), request
    if found is None and verdict.requests:
        return _denied(AMBIGUOUS, [])
    passed: list[str] = []
    for rules in _by_end(verdict.requests):
        asked = looks.get(rules[0].rule.direction)
        if asked is not None and (what := unreadable(came, asked)):
            return _denied(f"{AMBIGUOUS}: {what}", passed)
        came = found or request
        name = allowing(world, rules, came)
        if not name:
            how = "closed" if is_tls(world, rules, request) else "403: denied by policy"
            return _denied(f"{how}: not allowed by {', '.join(map(str, rules))}", passed)
        passed.append(name)
    audited = [
        ", ".join(map(str, rules))
        for rules in _by_end(verdict.audit_requests)
        if found is None or not allowing(world, rules, found)
    ]
    audit: Json = {"audit_rule": audited[0]} if audited else {}
    return {"answer": None, "request_rules": passed} | audit


def _denied(answer: str, passed: list[str]) -> Json:
    return {
        "verdict": "DROPPED",
        "reason": "POLICY_DENIED",
        "answer": answer,
        "request_rules": passed,
    }


def _by_end(rules: Sequence[RequestRule]) -> Iterator[Rules]:
    """The client's end is asked first."""
    for direction in ("egress", "ingress"):
        found = tuple(item for item in rules if item.rule.direction == direction)
        if found:
            yield found


def _told(world: World, rule: RequestRule) -> Json:
    return {"rule": str(rule), "requests": list(in_words(world, rule))}
