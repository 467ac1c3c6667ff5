from __future__ import annotations

from bench import kubeproxy
from bench.catalogue import SUITES as GROUPS
from bench.scenarios import judged, mesh
from bench.scenarios.tulle import manifests

SUITES = [suite for group in GROUPS.values() for suite in group]


def test_every_scenario_bears_the_name_it_is_listed_under() -> None:
    for suite in SUITES:
        assert next(iter(suite.scenarios)) == suite.base
        assert all(make().name == name for name, make in suite.scenarios.items())


def test_a_scenario_is_in_one_suite_and_a_metric_of_a_phase_in_its_own() -> None:
    names = [name for suite in SUITES for name in suite.scenarios]
    assert len(names) == len(set(names))
    for suite in SUITES:
        assert {metric.phase for metric in suite.metrics} == {phase.name for phase in suite.phases}
        assert set(suite.headline) <= {metric.key for metric in suite.metrics}


def test_the_mesh_gets_the_services_and_a_policy_for_each_end() -> None:
    objects = manifests(kubeproxy.services(3, ""))
    kinds = [obj["kind"] for obj in objects]
    assert kinds == ["Service"] * 3 + ["NetworkPolicy"] * 2
    assert {obj["spec"]["clusterIP"] for obj in objects[:3]} == {f"10.96.0.{i}" for i in (2, 3, 4)}


def test_the_mesh_s_node_ports_are_those_of_kube_proxy() -> None:
    [service] = [obj for obj in mesh.manifests() if obj["kind"] == "Service"]
    ports = {port["name"]: port["nodePort"] for port in service["spec"]["ports"]}
    assert ports == kubeproxy.NODE_PORTS


def test_envoy_and_the_kernel_have_the_same_rules() -> None:
    [web] = judged.policy(80, 1000)["spec"]["ingress"]
    lists = [part["rules"]["http"] for part in web["toPorts"]]
    assert max(map(len, lists)) <= 256 and sum(map(len, lists)) == 1000
    paths = [rule["path"] for rules in lists for rule in rules]
    policies = judged.rbac(1000)["typed_config"]["rules"]["policies"].values()
    assert len(set(paths)) == len(policies) == 1000
