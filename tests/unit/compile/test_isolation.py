"""Policy sets: who shares one, and what its entries say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.compile.objects import endpoint, policy_set, workload, world_of
from tulle.abi import Action, Identity, PolicyKey, PolicyPrefix, PolicySet
from tulle.compile import Compiled, Ids, compile_world, isolation
from tulle.compile.parts import flat
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Node, World

WEB = workload("web-1", app="web")
API = workload("api-2", app="api")
DB = workload("db-3", app="db", ports=(ContainerPort(5432, "pg"),))
TO_PG = """
kind: NetworkPolicy
metadata: {name: p}
spec:
  podSelector: {}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: pg}]}]
"""


def compiled(world: World, before: Compiled | None = None) -> Compiled:
    return compile_world(world, before.ids if before else Ids(), before=before)


def ingress_set(result: Compiled, address: str) -> int:
    return endpoint(flat(result.image), address).ingress_set


def entries(result: Compiled, address: str) -> dict[str, tuple[str, str, str]]:
    """Peer, protocol and port → action, rule, audited rule, of the set on the way in."""
    found = {}
    number = ingress_set(result, address)
    for key, value in policy_set(flat(result.image), number).items():
        peer = "anybody" if key.peer == Identity.ANY else result.identities[key.peer]
        where = "" if key.prefixlen == PolicyPrefix.ANY else f" {key.proto}/{key.port}"
        audited = str(result.rules[value.audit_rule]) if value.audit_rule else ""
        said = Action(value.action).name, str(result.rules[value.rule]), audited
        found[peer.removeprefix("k8s:").split(";")[0] + where] = said
    return found


PASS_NODE = ("ALLOW", "a node always reaches its own workloads", "")
OPEN = ("ALLOW", "no policy selects the workload", "")
DEFAULT = "default deny by NetworkPolicy shop/p (ingress)"


def test_a_peer_with_entries_has_one_for_everything() -> None:
    found = entries(compiled(world_of(WEB, API, DB, text=TO_PG)), "10.0.0.3")
    assert found == {
        "anybody": ("DENY", DEFAULT, ""),
        "reserved:host": PASS_NODE,
        "app=web": ("DENY", DEFAULT, ""),
        "app=web 6/5432": ("ALLOW", "NetworkPolicy shop/p ingress[0]", ""),
    }


def test_a_set_belongs_to_a_selection_and_the_ports_that_its_names_stand_for() -> None:
    result = compiled(world_of(WEB, API, DB, text=TO_PG))
    assert ingress_set(result, "10.0.0.1") == ingress_set(result, "10.0.0.2")  # no such port
    assert ingress_set(result, "10.0.0.1") != ingress_set(result, "10.0.0.3")


def test_a_peer_on_whom_nothing_else_is_decided_has_no_entry() -> None:
    text = TO_PG.replace("ports: [{port: pg}]", "ports: []").replace("app: web", "app: nobody")
    assert entries(compiled(world_of(WEB, DB, text=text)), "10.0.0.3").keys() == {
        "anybody",
        "reserved:host",
    }


def test_a_policy_in_audit_mode_lets_pass_and_says_what_it_would_have_denied() -> None:
    text = TO_PG.replace("{name: p}", "{name: p, annotations: {tulle.io/audit: 'true'}}")
    found = entries(compiled(world_of(WEB, DB, text=text)), "10.0.0.3")
    assert found["anybody"] == ("ALLOW", "no policy selects the workload", DEFAULT)
    assert found["app=web 6/5432"] == OPEN


def test_a_denial_is_told_if_its_policy_says_so() -> None:
    text = TO_PG.replace("{name: p}", "{name: p, annotations: {tulle.io/reject: 'true'}}")
    assert entries(compiled(world_of(WEB, DB, text=text)), "10.0.0.3")["anybody"][0] == "REJECT"


def test_the_host_firewall_is_a_set_of_this_node_s_addresses() -> None:
    text = """
kind: CiliumClusterwideNetworkPolicy
metadata: {name: h}
spec: {nodeSelector: {matchLabels: {disk: ssd}}, ingress: [{fromEntities: [cluster]}]}
"""
    (address,) = world_of(WEB).workloads["shop", "web-1"].addresses
    node = Node("a", (address + 100,), labels={"disk": "ssd"})
    result = compiled(world_of(WEB, text=text, node=node))
    host = endpoint(flat(result.image), "10.0.0.101")
    assert host.ingress_set != PolicySet.OPEN and host.egress_set == PolicySet.OPEN
    found = entries(result, "10.0.0.101")
    assert "reserved:host" not in found and found["anybody"][0] == "DENY"
    assert found["io.kubernetes.pod.namespace=shop"][0] == "ALLOW"
    other = replace(node, labels={})
    image = flat(compiled(world_of(WEB, text=text, node=other)).image)
    assert endpoint(image, "10.0.0.101").ingress_set == PolicySet.OPEN


def test_a_set_stands_until_somebody_comes_whom_it_means() -> None:
    world = world_of(API, DB, text=TO_PG)
    first = compiled(world)
    name = "set", ingress_set(first, "10.0.0.3")
    more = workload("api-4", app="api")
    second = compiled(replace(world, workloads={**world.workloads, more.key: more}), first)
    assert second.image[name] is first.image[name]
    third = compiled(replace(world, workloads={**world.workloads, WEB.key: WEB}), second)
    assert ("set", ingress_set(third, "10.0.0.3")) != name


def test_two_sets_with_one_number_are_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four bits of a digest: it never happens by chance, and nothing may open by it."""
    real = isolation.packed_set

    def packed_set(*args: Any) -> Any:
        made = real(*args)
        entries = {
            PolicyKey.unpack(key)._replace(set=7).pack(): value
            for key, value in made.entries.items()
        }
        return made._replace(number=7, entries=entries)

    monkeypatch.setattr(isolation, "packed_set", packed_set)
    result = compiled(world_of(WEB, DB, text=TO_PG))
    assert [item.reason for item in result.refusals] == [
        "its number belongs to another policy set: all ingress of shop/db-3 is denied"
    ]
    (entry,) = entries(result, "10.0.0.3").values()
    assert entry[0] == "DENY"
