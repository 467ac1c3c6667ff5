"""Names come from the world and what was compiled from it."""

from ipaddress import ip_address

from tulle.abi import Identity
from tulle.compile import Ids, compile_world
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from tulle.model.world import Node, Workload, World
from tulle.observe.names import labels_of, owners_of, services_of


def test_everything_a_number_can_mean_is_named() -> None:
    web = Workload("shop", "web-1", {"app": "web"}, (ip_address("10.244.0.2"),), 7)
    spec = ServiceSpec(ports=(ServicePort(80),), cluster_ip="10.96.0.10")
    service = Service(ObjectMeta("web", "shop"), spec)
    world = World(Node("a"), workloads={web.key: web}, services={("shop", "web"): service})
    compiled = compile_world(world, Ids())

    identities = labels_of(compiled.identities)
    assert identities[Identity.WORLD] == ("reserved:world",)
    assert ("k8s:io.kubernetes.pod.namespace=shop",) in identities.values()
    assert [str(item) for item in services_of(compiled.services).values()] == ["Service shop/web"]


def test_every_address_of_a_service_is_named() -> None:
    service = Service(
        ObjectMeta("web", "shop"),
        ServiceSpec(cluster_ip="10.96.0.10", external_ips=("198.51.100.1",)),
        status=ServiceStatus(LoadBalancerStatus((LoadBalancerIngress("198.51.100.2"),))),
    )
    headless = Service(ObjectMeta("names", "shop"), ServiceSpec(cluster_ip="None"))
    found = owners_of({("shop", "web"): service, ("shop", "names"): headless})
    assert {str(address) for address in found} == {"10.96.0.10", "198.51.100.1", "198.51.100.2"}
    assert {str(owner) for owner in found.values()} == {"Service shop/web"}
