from __future__ import annotations

from bench import kubeproxy
from bench.catalogue import SCENARIOS
from bench.figures import BASE
from bench.scenarios.tulle import manifests


def test_every_scenario_bears_the_name_it_is_listed_under() -> None:
    assert next(iter(SCENARIOS)) == BASE
    for name, make in SCENARIOS.items():
        assert make().name == name


def test_the_mesh_gets_the_services_and_a_policy_for_each_end() -> None:
    objects = manifests(kubeproxy.services(3, ""))
    kinds = [obj["kind"] for obj in objects]
    assert kinds == ["Service"] * 3 + ["NetworkPolicy"] * 2
    assert {obj["spec"]["clusterIP"] for obj in objects[:3]} == {f"10.96.0.{i}" for i in (2, 3, 4)}
