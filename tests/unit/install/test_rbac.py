"""Roles follow from what is watched and written, and give nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tulle.agent.kube.kinds import ALL, WATCHED
from tulle.install.marks import Setting, several
from tulle.install.rbac import STATUSES, bindings, plural, roles
from tulle.install.values import chosen

Right = tuple[str, str, str, str, str]  # role, namespace or "", group, resource, verb


def settled(**given: Any) -> tuple[list[Any], list[Any]]:
    setting = Setting(chosen(given), "mesh", "us", set())
    return (
        [obj for node in roles() for obj in several(node, setting)],
        [obj for node in bindings() for obj in several(node, setting)],
    )


def rights(account: str, objects: tuple[list[Any], list[Any]]) -> set[Right]:
    found: set[Right] = set()
    rules, bound = objects
    for binding in bound:
        if account not in [subject["name"] for subject in binding["subjects"]]:
            continue
        ref, where = binding["roleRef"], binding["metadata"].get("namespace", "")
        (role,) = (
            item
            for item in rules
            if (item["kind"], item["metadata"]["name"]) == (ref["kind"], ref["name"])
            and item["metadata"].get("namespace", "") == where
        )
        for rule in role["rules"]:
            found |= set(_rights(ref["name"], where, rule))
    return found


def _rights(role: str, where: str, rule: dict[str, Any]) -> Iterable[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield role, where, group, resource, verb


def test_every_watched_kind_may_be_followed_in_every_group_it_is_read_in() -> None:
    of_agents = {right[2:] for right in rights("tulle-agent", settled())}
    for item in WATCHED:
        for version in item.versions:
            group = version.rpartition("/")[0]
            assert {(group, plural(item.kind), verb) for verb in ("list", "watch")} <= of_agents
    assert ("", "secrets", "watch") in of_agents
    assert {right for right in of_agents if right[2] == "get"} == {
        ("", "pods", "get"),
        ("", "nodes", "get"),
    }


def test_agents_write_events_and_nothing_else() -> None:
    writes = {right[2:] for right in rights("tulle-agent", settled()) if right[4] in WRITING}
    assert writes == {("events.k8s.io", "events", verb) for verb in ("create", "patch")}


WRITING = {"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "*"}


def test_the_operator_writes_statuses_its_lease_and_events_and_who_backs_what() -> None:
    writes = {right for right in rights("tulle-operator", settled()) if right[4] in WRITING}
    of_objects = {right for right in writes if right[3] not in ("events", "leases")}
    assert {(right[3], right[4]) for right in of_objects} == {
        *((f"{plural(kind)}/status", "patch") for kind in STATUSES),
        *(("endpointslices", verb) for verb in ("create", "patch", "delete")),
        *(("serviceimports", verb) for verb in ("create", "patch", "delete")),
        ("meshworkloads", "delete"),
    }
    leases = [right for right in writes if right[3] == "leases"]
    assert {(where, verb) for _, where, _, _, verb in leases} == {
        ("mesh", "create"),
        ("mesh", "update"),
    }


def test_nothing_is_asked_for_by_a_star() -> None:
    for role in settled()[0]:
        for rule in role["rules"]:
            assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])


def test_secrets_are_read_in_some_namespaces_only_if_these_are_named() -> None:
    def where(**given: Any) -> set[str]:
        found = rights("tulle-agent", settled(**given))
        return {right[1] for right in found if right[3] in ("secrets", "configmaps")}

    assert where() == {""}
    assert where(secretNamespaces=["shop", "bank"]) == {"shop", "bank"}


@pytest.mark.parametrize("kind", STATUSES)
def test_what_is_told_of_is_read(kind: str) -> None:
    assert kind in ALL
