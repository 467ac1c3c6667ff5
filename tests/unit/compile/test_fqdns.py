from __future__ import annotations

from tests.unit.compile.objects import workload, world_of
from tulle import abi
from tulle.abi import Action, NameLimit, PolicyFlag
from tulle.compile import Ids, compile_world
from tulle.compile.fqdns import reversed_text, trie_of
from tulle.compile.parts import flat

LIMITS = {"fqdns": 100, "globs": 2}
POLICY = """
kind: CiliumNetworkPolicy
metadata: {name: names%s}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
    - toFQDNs: [{matchName: API.example.}, {matchPattern: "*.shop.example"}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"""
AUDIT = POLICY.replace("names%s", 'audited, annotations: {tulle.io/audit: "true"}')


def keys(part: dict[bytes, bytes]) -> set[bytes]:
    return {abi.DnsName.unpack(key).text.rstrip(b"\0") for key in part}


def test_names_stand_back_to_front() -> None:
    assert reversed_text("api.example") == b"elpmaxe.ipa."
    trie = trie_of({"api.example": 1, "*.example": 2, "*": 3}, LIMITS)
    assert keys(dict(trie.part["fqdns"])) == {b"elpmaxe.ipa.", b"elpmaxe.", b""}


def test_what_finds_no_room_means_nobody() -> None:
    crowd = {f"a{number}*.example": number for number in range(1, 4)}
    assert trie_of(crowd, LIMITS).lost == {"a3*.example"}
    many = {f"**.{'b.' * number}example": number for number in range(1, 20)}
    assert len(trie_of(many, LIMITS).lost) == 19 - NameLimit.CANDIDATES


def policy_of(text: str) -> dict[int, list[abi.PolicyEntry]]:
    client = workload("client-1", app="client")
    compiled = compile_world(world_of(client, text=text), Ids())
    found: dict[int, list[abi.PolicyEntry]] = {}
    for key, value in flat(compiled.image)["policy"].items():
        found.setdefault(abi.PolicyKey.unpack(key).peer, []).append(abi.PolicyEntry.unpack(value))
    assert compiled.refusals == ()
    return found


def test_names_allow_where_the_default_would_deny() -> None:
    found = policy_of(POLICY % "")
    assert [entry.flags for entry in found[0]] == [PolicyFlag.NAMES]
    selectors = [entries for peer, entries in found.items() if peer >= NameLimit.SELECTOR]
    assert len(selectors) == 2
    for entries in selectors:
        assert sorted(entry.action for entry in entries) == [Action.ALLOW, Action.DENY]


def test_names_in_audit_mode_allow_nothing_but_are_not_told_either() -> None:
    found = policy_of(AUDIT)
    assert [entry.flags for entry in found[0]] == [PolicyFlag.AUDIT_NAMES]
    [*_, entries] = [entries for peer, entries in found.items() if peer >= NameLimit.SELECTOR]
    assert {entry.action for entry in entries} == {Action.DENY}
    assert {entry.flags for entry in entries} == {0, PolicyFlag.AUDITED}


QUESTIONS = """
kind: CiliumNetworkPolicy
metadata: {name: questions}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
    - toPorts:
        - ports: [{port: "53", protocol: ANY}]
          rules: {dns: [{matchName: a.example}, {matchPattern: "*.b.example"}]}
        - ports: [{port: "53", protocol: TCP}]
          rules: {http: [{path: /dns-query}]}
"""


def test_questions_are_the_kernels_and_requests_the_proxys() -> None:
    client = workload("client-1", app="client")
    compiled = compile_world(world_of(client, text=QUESTIONS), Ids())
    maps = flat(compiled.image)
    rows = [abi.DnsRuleKey.unpack(key) for key in maps["dns_rules"]]
    assert len({row.selector for row in rows}) == 2
    [number] = {row.rules for row in rows}
    entries = {
        abi.PolicyKey.unpack(key).proto: abi.PolicyEntry.unpack(value)
        for key, value in maps["policy"].items()
        if abi.PolicyKey.unpack(key).port == 53
    }
    assert (entries[17].proxy, entries[17].flags) == (number, PolicyFlag.DNS)
    assert (entries[132].proxy, entries[132].flags) == (number, PolicyFlag.DNS)
    assert entries[6].flags == 0
    assert list(compiled.memo.isolation.rule_sets) == [entries[6].proxy]
