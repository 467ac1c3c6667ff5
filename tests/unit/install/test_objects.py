"""What an installation consists of."""

from __future__ import annotations

from typing import Any

from tulle.install.marks import Setting, several
from tulle.install.metadata import MANAGED_BY, NAME, PART_OF
from tulle.install.objects import everything
from tulle.install.plain import settled, usual
from tulle.install.values import chosen


def names(apis: set[str], **given: Any) -> list[tuple[str, str]]:
    setting = Setting(chosen(given), "mesh", "us", apis)
    found = [obj for node in everything() for obj in several(node, setting)]
    return [(obj["kind"], obj["metadata"]["name"]) for obj in found]


def test_each_object_is_there_once_and_says_whose_it_is() -> None:
    objects = list(settled(everything(), usual()))
    names = [(obj["kind"], obj["metadata"]["name"]) for obj in objects]
    assert len(set(names)) == len(names)
    for obj in objects:
        labels = obj["metadata"]["labels"]
        assert (labels[PART_OF], labels[MANAGED_BY]) == (NAME, "tulle")


def test_definitions_and_accounts_come_before_what_needs_them() -> None:
    kinds = [kind for kind, _ in names(set())]
    assert kinds[0] == "Namespace"
    assert kinds.index("CustomResourceDefinition") < kinds.index("ServiceAccount")
    assert kinds.index("ClusterRoleBinding") < kinds.index("DaemonSet")
    assert kinds.index("PriorityClass") < kinds.index("Deployment")


def test_classes_are_made_where_their_api_is() -> None:
    gateway = ("GatewayClass", "tulle")
    assert gateway in names({"gateway.networking.k8s.io/v1"})
    assert gateway not in names(set())
    kinds = [kind for kind, _ in names(set(), **{"classes.create": False, "crds.install": False})]
    assert not {"IngressClass", "CustomResourceDefinition"} & set(kinds)


def test_one_budget_in_the_version_that_the_server_has() -> None:
    for apis, version in ((set[str](), "policy/v1beta1"), ({"policy/v1"}, "policy/v1")):
        setting = Setting(chosen({}), "mesh", "us", apis)
        found = [obj for node in everything() for obj in several(node, setting)]
        budgets = [obj for obj in found if obj["kind"] == "PodDisruptionBudget"]
        assert [obj["apiVersion"] for obj in budgets] == [version]
