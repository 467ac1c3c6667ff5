from __future__ import annotations

from typing import Any

import pytest

from tulle.agent.kube.writes import Write, write_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import CONTROLLER

Json = dict[str, Any]

NOW, BEFORE = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
GATEWAY = ObjectRef("Gateway", "shop", "door")
ROUTE = ObjectRef("HTTPRoute", "shop", "web")
SERVICE = ObjectRef("Service", "shop", "web")


def condition(kind: str = "Accepted", status: str = "True", **more: Any) -> Json:
    return {"type": kind, "status": status, "reason": "Any", "message": "so", **more}


def timed(item: Json, at: str = BEFORE) -> Json:
    return {**item, "lastTransitionTime": at}


def live(ref: ObjectRef, status: Json | None = None, **more: Any) -> Json:
    """As an API server gives it."""
    version = "v1" if ref.kind == "Service" else "gateway.networking.k8s.io/v1"
    found: Json = {"apiVersion": version, "kind": ref.kind, "spec": {}, **more}
    names = {"name": ref.name, "namespace": ref.namespace}
    found["metadata"] = {**names, "uid": "u-1", "resourceVersion": "7", "labels": {"a": "b"}}
    return found if status is None else {**found, "status": status}


def entry(name: str, controller: str = CONTROLLER, *conditions: Json, **ref: Any) -> Json:
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name, **ref}
    return {
        "parentRef": parent,
        "controllerName": controller,
        "conditions": list(conditions or [condition()]),
    }


def old(item: Json) -> Json:
    return {**item, "conditions": [timed(each) for each in item["conditions"]]}


def sent(found: Write | None) -> Json:
    assert found is not None
    status: Json = found.body["status"]
    return status


def test_a_first_status_is_applied_whole() -> None:
    found = write_of(GATEWAY, {"conditions": [condition()]}, live(GATEWAY), NOW)
    assert found == Write(
        GATEWAY,
        "apply",
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "door", "namespace": "shop", "uid": "u-1"},
            "status": {"conditions": [timed(condition(), NOW)]},
        },
    )


def test_what_is_said_already_is_not_written() -> None:
    wanted = {
        "conditions": [condition(), condition("Programmed")],
        "listeners": [{"name": "a", "conditions": [condition()], "supportedKinds": []}],
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
    }
    have = {
        "conditions": [timed(condition("Programmed")), timed(condition())],
        "listeners": [{"name": "a", "conditions": [timed(condition())]}],  # leaves empty ones out
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1", "filledIn": "by the server"}],
    }
    assert write_of(GATEWAY, wanted, live(GATEWAY, have), NOW) is None


def test_no_message_is_empty() -> None:
    quiet = condition(message="")
    wanted = {"conditions": [quiet], "listeners": [{"name": "a", "conditions": [quiet]}]}
    found = sent(write_of(GATEWAY, wanted, live(GATEWAY), NOW))
    for said in (found["conditions"][0], found["listeners"][0]["conditions"][0]):
        assert said["message"] == said["reason"]
    assert write_of(GATEWAY, wanted, live(GATEWAY, found), NOW) is None
    found = sent(write_of(ROUTE, {"parents": [entry("a", CONTROLLER, quiet)]}, live(ROUTE), NOW))
    assert found["parents"][0]["conditions"][0]["message"] == "Any"
    assert (
        write_of(ROUTE, {"parents": [entry("a", CONTROLLER, quiet)]}, live(ROUTE, found), NOW)
        is None
    )


def test_a_field_that_the_server_does_not_know_is_written_once_more_only_if_it_says_something() -> (
    None
):
    have = {"conditions": [timed(condition())]}
    wanted = {"conditions": [condition()], "attachedListenerSets": 0}
    assert write_of(GATEWAY, wanted, live(GATEWAY, have), NOW) is None
    assert write_of(GATEWAY, wanted | {"attachedListenerSets": 1}, live(GATEWAY, have), NOW)


def test_a_time_stays_as_long_as_the_status_does() -> None:
    have = {"conditions": [timed(condition()), timed(condition("Programmed", "False"))]}
    wanted = {"conditions": [condition(message="else"), condition("Programmed")]}
    found = sent(write_of(GATEWAY, wanted, live(GATEWAY, have), NOW))
    assert found["conditions"] == [
        timed(condition(message="else")),
        timed(condition("Programmed"), NOW),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": [condition(status="False")]},
        {"conditions": [condition(observedGeneration=2)]},
        {"conditions": [condition(), condition("Programmed")]},
        {"conditions": []},  # one of ours that is said no more
        {"listeners": []},
        {"listeners": [{"name": "b", "conditions": [condition()]}]},
        {"listeners": [{"name": "a", "conditions": [condition()], "attachedRoutes": 2}]},
        {"addresses": [{"value": "192.0.2.2"}]},
        {"addresses": []},
    ],
)
def test_what_changed_is_written(change: Json) -> None:
    wanted: Json = {
        "conditions": [condition()],
        "listeners": [{"name": "a", "conditions": [condition()], "attachedRoutes": 1}],
        "addresses": [{"value": "192.0.2.1"}],
    }
    listener = wanted["listeners"][0] | {"conditions": [timed(condition())]}
    have = {**wanted, "conditions": [timed(condition())], "listeners": [listener]}
    assert write_of(GATEWAY, wanted, live(GATEWAY, have), NOW) is None
    assert write_of(GATEWAY, wanted | change, live(GATEWAY, have), NOW) is not None


@pytest.mark.parametrize(("wanted", "writes"), [("ab", False), ("ba", False), ("a", True)])
def test_a_server_keeps_clusters_in_an_order_of_its_own(wanted: str, writes: bool) -> None:
    ref = ObjectRef("ServiceImport", "shop", "web")
    have = {"clusters": [{"cluster": "b"}, {"cluster": "a"}]}
    status = {"clusters": [{"cluster": name} for name in wanted]}
    assert (write_of(ref, status, live(ref, have), NOW) is not None) == writes


def test_a_condition_of_somebody_else_is_none_of_ours() -> None:
    have = {"conditions": [timed(condition()), timed(condition("example.com/Scanned"))]}
    assert write_of(GATEWAY, {"conditions": [condition()]}, live(GATEWAY, have), NOW) is None


def test_entries_of_other_controllers_stay_as_they_are() -> None:
    other = {"controllerName": "example.com/other", "parentRef": {"name": "x"}, "more": [1, 2]}
    have = {"parents": [old(entry("door")), other, old(entry("gone"))]}
    wanted = {"parents": [entry("door"), entry("new")]}
    found = write_of(ROUTE, wanted, live(ROUTE, have), NOW)
    assert found is not None
    assert found.way == "merge"
    assert found.body["metadata"] == {
        "name": "web",
        "namespace": "shop",
        "uid": "u-1",
        "resourceVersion": "7",
    }
    new = {**entry("new"), "conditions": [timed(condition(), NOW)]}
    assert found.body["status"] == {"parents": [other, old(entry("door")), new]}


def test_our_entries_go_when_there_is_nothing_to_say() -> None:
    other = old(entry("x", "example.com/other"))
    have = {"parents": [old(entry("door")), other]}
    assert sent(write_of(ROUTE, {"parents": []}, live(ROUTE, have), NOW)) == {"parents": [other]}
    for status in ({"parents": [other]}, {"parents": []}, {}, None):
        assert write_of(ROUTE, {"parents": []}, live(ROUTE, status), NOW) is None


def test_one_parent_is_told_from_another_by_all_of_its_reference() -> None:
    have = {"parents": [old(entry("door", sectionName="a"))]}
    wanted = {"parents": [entry("door", sectionName="b")]}
    assert sent(write_of(ROUTE, wanted, live(ROUTE, have), NOW))["parents"] == [
        {**entry("door", sectionName="b"), "conditions": [timed(condition(), NOW)]}
    ]


def test_the_order_of_words_in_a_reference_says_nothing() -> None:
    shown = old(entry("door"))
    shown["parentRef"] = dict(sorted(shown["parentRef"].items(), reverse=True))
    wanted = {"parents": [entry("door")]}
    assert write_of(ROUTE, wanted, live(ROUTE, {"parents": [shown]}), NOW) is None


@pytest.mark.parametrize(("part", "most"), [("parents", 32), ("ancestors", 16)])
def test_no_more_entries_than_the_api_takes(part: str, most: int) -> None:
    name = part[:-1] + "Ref"
    others = [{"controllerName": "example.com/x", name: {"name": str(n)}} for n in range(most - 1)]
    mine = [
        {"controllerName": CONTROLLER, name: {"name": text}, "conditions": [condition()]}
        for text in ("a", "b")
    ]
    found = sent(write_of(ROUTE, {part: mine}, live(ROUTE, {part: others}), NOW))[part]
    assert len(found) == most
    assert found[-1][name] == {"name": "a"}
    assert write_of(ROUTE, {part: mine}, live(ROUTE, {part: found}), NOW) is None


@pytest.mark.parametrize(
    ("spec", "is_ours"),
    [
        ({"type": "LoadBalancer"}, True),
        ({"type": "LoadBalancer", "loadBalancerClass": "tulle.io/lb"}, True),
        ({"type": "LoadBalancer", "loadBalancerClass": "example.com/other"}, False),
        ({"type": "ClusterIP"}, False),
        ({}, False),
    ],
)
def test_only_load_balancers_of_our_class_get_addresses(spec: Json, is_ours: bool) -> None:
    wanted = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    have = live(SERVICE, {"loadBalancer": {}}, spec=spec)
    assert (write_of(SERVICE, wanted, have, NOW) is not None) is is_ours


@pytest.mark.parametrize("kind", ["Service", "Ingress"])
@pytest.mark.parametrize(("managers", "is_taken"), [(["tulle", "x"], True), (["x"], False)])
def test_what_is_no_longer_ours_loses_the_addresses_that_we_gave(
    kind: str, managers: list[str], is_taken: bool
) -> None:
    ref = ObjectRef(kind, "shop", "web")
    wanted: Json = {"loadBalancer": {"ingress": []}}
    have = live(ref, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}, spec={})
    have["metadata"]["managedFields"] = [{"manager": name} for name in managers]
    found = write_of(ref, wanted, have, NOW)
    assert (found is not None) is is_taken
    have["status"] = {"loadBalancer": {}}
    assert write_of(ref, wanted, have, NOW) is None


def test_an_address_with_what_a_newer_server_adds_is_the_same() -> None:
    wanted = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    have = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
    spec = {"type": "LoadBalancer"}
    assert write_of(SERVICE, wanted, live(SERVICE, have, spec=spec), NOW) is None
