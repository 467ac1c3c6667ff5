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


def test_with_admission_the_server_judges_what_it_says_and_nobody_else_is_asked() -> None:
    """In words that CEL has, and of whoever the rights are for."""
    made = list(host_objects("db.x", "mesh", ("shop/*",), "", admission=True))
    policy, binding = made[-2:]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"] == "tulle-host-db.x"
    assert binding["spec"]["validationActions"] == ["Deny"]
    spec = policy["spec"]
    assert spec["failurePolicy"] == "Fail"
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["meshworkloads"]
    assert set(rule["operations"]) == {"CREATE", "UPDATE", "DELETE"}
    (who,) = spec["matchConditions"]
    account = '"system:serviceaccount:mesh:tulle-host-db.x"'
    assert who["expression"] == f"request.userInfo.username == {account}"
    (own,) = spec["validations"]
    assert own["expression"].count("spec.node == 'db.x'") == 2
    user = list(host_objects("db", "mesh", (), 'a"b', admission=True))[-2]
    assert user["spec"]["matchConditions"][0]["expression"].endswith('"a\\"b"')
    assert list(host_objects("db.x", "mesh", ("shop/*",), "")) == made[:-2]
