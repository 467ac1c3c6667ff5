"""Names come from the world and what was compiled from it."""

from ipaddress import ip_address

from tulle.abi import Identity, RuleId
from tulle.compile import Ids, compile_world
from tulle.model.kubernetes import ObjectMeta, Service, ServicePort, ServiceSpec
from tulle.model.verdict import NOT_ISOLATED
from tulle.model.world import Node, Workload, World
from tulle.observe.names import names_of


def test_everything_a_number_can_mean_is_named() -> None:
    web = Workload("shop", "web-1", {"app": "web"}, (ip_address("10.244.0.2"),), 7)
    spec = ServiceSpec(ports=(ServicePort(80),), cluster_ip="10.96.0.10")
    service = Service(ObjectMeta("web", "shop"), spec)
    world = World(Node("a"), workloads={web.key: web}, services={("shop", "web"): service})
    compiled = compile_world(world, Ids())

    names = names_of(world, compiled, {99: web}, 5)

    assert names.node == "a"
    assert names.clock_offset_ns == 5
    assert names.workloads == {ip_address("10.244.0.2"): web}
    assert names.cgroups == {99: web}
    assert names.identities[Identity.WORLD] == ("reserved:world",)
    assert ("k8s:io.kubernetes.pod.namespace=shop",) in names.identities.values()
    assert str(names.rules[RuleId.NOT_ISOLATED]) == NOT_ISOLATED
    assert [str(item) for item in names.services.values()] == ["Service shop/web"]
    assert str(names.service_addresses[ip_address("10.96.0.10")]) == "Service shop/web"
