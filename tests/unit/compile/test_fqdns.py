from __future__ import annotations

import sys
from collections.abc import Mapping

from tests.unit.compile.objects import workload, world_of
from tulle import abi
from tulle.abi import Action, DnsRulesFlag, NameLimit, NameScope, PolicyFlag
from tulle.compile import Ids, compile_world
from tulle.compile.fqdns import Scope, glob_of, reversed_text, trie_of
from tulle.compile.parts import flat

HEARD = {int(PolicyFlag.DNS), PolicyFlag.DNS | PolicyFlag.NAMES}  # entries for questions
SCOPE = Scope(NameScope.SET, 7)
POLICY = """
kind: CiliumNetworkPolicy
metadata: {name: names%s}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
    - toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*"}]}}]
    - toFQDNs: [{matchName: API.example.}, {matchPattern: "*.shop.example"}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"""
AUDIT = POLICY.replace("names%s", 'audited, annotations: {tulle.io/audit: "true"}')


def keys(rows: Mapping[bytes, bytes]) -> set[bytes]:
    return {abi.FqdnKey.unpack(key).text.rstrip(b"\0") for key in rows}


def test_names_stand_back_to_front() -> None:
    assert reversed_text("api.example") == b"elpmaxe.ipa."
    trie = trie_of(SCOPE, {"api.example": 1, "*.example": 2, "*": 3})
    assert keys(trie.rows) == {b"elpmaxe.ipa.", b"elpmaxe.", b""}
    assert {abi.FqdnKey.unpack(key)[1:3] for key in trie.rows} == {(NameScope.SET, 7)}
    assert glob_of("a*.example") is not None and glob_of("*.example") is None


def test_what_finds_no_room_means_nobody() -> None:
    many = {f"**.{'b.' * number}example": number for number in range(1, 41)}
    assert len(trie_of(SCOPE, many).lost) == 40 - NameLimit.CANDIDATES


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
    assert {entry.flags for entry in found[0]} - HEARD == {PolicyFlag.NAMES}
    selectors = [entries for peer, entries in found.items() if peer >= NameLimit.SELECTOR]
    assert len(selectors) == 2  # and none for the names that may be asked for
    for entries in selectors:
        assert sorted(entry.action for entry in entries) == [Action.ALLOW, Action.DENY]


def test_names_in_audit_mode_allow_nothing_but_are_not_told_either() -> None:
    found = policy_of(AUDIT)
    assert {entry.flags for entry in found[0]} - HEARD == {PolicyFlag.AUDIT_NAMES}
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
    [(key, flags)] = maps["dns_rules"].items()
    number = int.from_bytes(key, sys.byteorder)
    assert abi.DnsRules.unpack(flags).flags == 0
    assert {abi.FqdnKey.unpack(key)[1:3] for key in maps["fqdns"]} == {(NameScope.RULES, number)}
    assert keys(maps["fqdns"]) == {b"elpmaxe.a.", b"elpmaxe.b."}
    entries = {
        abi.PolicyKey.unpack(key).proto: abi.PolicyEntry.unpack(value)
        for key, value in maps["policy"].items()
        if abi.PolicyKey.unpack(key).port == 53
    }
    assert (entries[17].proxy, entries[17].flags) == (number, PolicyFlag.DNS)
    assert (entries[132].proxy, entries[132].flags) == (number, PolicyFlag.DNS)
    assert entries[6].flags == 0
    assert list(compiled.memo.isolation.rule_sets) == [entries[6].proxy]


PLAIN = QUESTIONS.replace("questions", "plain").partition("          rules:")[0]


def test_what_a_plain_rule_or_audit_allows_is_heard_all_the_same() -> None:
    """As in Cilium, where the proxy stays in the way: else nothing would be learnt."""
    audited = QUESTIONS.replace("questions", 'questions, annotations: {tulle.io/audit: "true"}')
    for text, wanted in (
        (f"{QUESTIONS}---{PLAIN}", DnsRulesFlag.PASS),
        (f"{audited}---{PLAIN}", DnsRulesFlag.PASS),
        (audited, DnsRulesFlag.PASS | DnsRulesFlag.AUDIT),
    ):
        compiled = compile_world(world_of(workload("client-1", app="client"), text=text), Ids())
        maps = flat(compiled.image)
        [(_, flags)] = maps["dns_rules"].items()
        assert abi.DnsRules.unpack(flags).flags == wanted
        flagged = {
            abi.PolicyKey.unpack(key).proto
            for key, value in maps["policy"].items()
            if abi.PolicyEntry.unpack(value).flags & PolicyFlag.DNS
        }
        assert flagged == {17}


def test_names_without_a_rule_for_dns_are_told_to_mean_nobody() -> None:
    text = "\n".join(line for line in (POLICY % "").splitlines() if "dns" not in line)
    compiled = compile_world(world_of(workload("client-1", app="client"), text=text), Ids())
    [refusal] = compiled.refusals
    assert "rules.dns" in refusal.reason


def test_sets_of_others_have_names_of_their_own() -> None:
    """40 patterns that end alike, of one workload: another's, which end so too, have room."""
    crowd = ", ".join(f'{{matchPattern: "a{number}*.example"}}' for number in range(40))
    greedy = (POLICY % "").replace("{matchName: API.example.}", crowd)
    modest = (POLICY % "2").replace("app: client", "app: modest").replace("API", "z*.b")
    modest = modest.replace("matchName: z", "matchPattern: z")
    both = workload("client-1", app="client"), workload("modest-1", "10.244.0.9", app="modest")
    compiled = compile_world(world_of(*both, text=f"{greedy}---{modest}"), Ids())
    assert {refusal.ref.name for refusal in compiled.refusals} == {"names"}
    lost = {refusal.reason.partition(":")[0] for refusal in compiled.refusals}
    assert len(lost) > 40 - NameLimit.CANDIDATES  # one suffix is the other's as well
    assert not any(pattern.startswith("z") for pattern in lost)


def test_where_every_name_may_be_asked_for_other_protocols_pass_unread() -> None:
    text = (POLICY % "").replace("protocol: UDP", "protocol: ANY")
    compiled = compile_world(world_of(workload("client-1", app="client"), text=text), Ids())
    entries = {
        abi.PolicyKey.unpack(key).proto: abi.PolicyEntry.unpack(value)
        for key, value in flat(compiled.image)["policy"].items()
        if abi.PolicyKey.unpack(key).port == 53
    }
    assert entries[17] == entries[6]
    assert entries[17].flags & PolicyFlag.DNS
    assert (entries[132].action, entries[132].proxy) == (Action.ALLOW, 0)
    assert not entries[132].flags & PolicyFlag.DNS
