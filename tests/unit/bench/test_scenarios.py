from __future__ import annotations

from bench import kubeproxy
from bench.catalogue import ONE_NODE, PROXY, SEVERAL_NODES
from bench.scenarios import mesh
from bench.scenarios.tulle import manifests


def test_every_scenario_bears_the_name_it_is_listed_under() -> None:
    for suite in (ONE_NODE, PROXY, *SEVERAL_NODES):
        assert next(iter(suite.scenarios)) == suite.base
        assert all(make().name == name for name, make in suite.scenarios.items())


def test_a_scenario_is_in_one_suite_and_a_metric_of_a_phase_in_its_own() -> None:
    suites = (ONE_NODE, PROXY, *SEVERAL_NODES)
    names = [name for suite in suites for name in suite.scenarios]
    assert len(names) == len(set(names))
    for suite in suites:
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
