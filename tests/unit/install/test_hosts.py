from __future__ import annotations

import pytest

from tulle.errors import UsageError
from tulle.install.hosts import host_objects


def rules(*workloads: str) -> dict[tuple[str, str], dict[str, object]]:
    """By resource and namespace."""
    found = {}
    for obj in host_objects("db", "mesh", workloads, ""):
        for rule in obj.get("rules", ()):
            assert rule["verbs"] == ["create", "patch", "delete"]
            found[rule["resources"][0], obj["metadata"].get("namespace", "")] = rule
    return found


def test_each_object_by_its_name() -> None:
    found = rules("shop/pg", "shop/cache", "lab/*")
    assert {place: rule.get("resourceNames") for place, rule in found.items()} == {
        ("meshnodes", ""): ["db"],
        ("leases", "mesh"): ["tulle-host-db"],
        ("meshworkloads", "shop"): ["cache", "pg"],
        ("meshworkloads", "lab"): None,
    }


def test_every_role_is_bound_to_the_one_it_is_for() -> None:
    objects = list(host_objects("db", "mesh", ("shop/pg",), "someone"))
    bindings = [obj for obj in objects if obj["kind"].endswith("Binding")]
    roles = {(obj["kind"], obj["metadata"]["name"]) for obj in objects if "rules" in obj}
    bound = {(obj["roleRef"]["kind"], obj["roleRef"]["name"]) for obj in bindings}
    assert bound == roles | {("ClusterRole", "tulle-reader")}
    assert {obj["subjects"][0]["name"] for obj in bindings} == {"someone"}
    assert not [obj for obj in objects if obj["kind"] == "ServiceAccount"]
    (account,) = (o for o in host_objects("db", "mesh", (), "") if o["kind"] == "ServiceAccount")
    assert account["metadata"]["namespace"] == "mesh"


@pytest.mark.parametrize("word", ["shop", "shop/", "/pg", "*/*", "shop/p g"])
def test_what_names_no_workload_is_told(word: str) -> None:
    with pytest.raises(UsageError, match="neither NAMESPACE/NAME"):
        rules(word)
