import pytest

from tulle.edges.manifests import cilium_peers as peers
from tulle.errors import ManifestError
from tulle.model.cilium import (
    CIDRRule,
    CiliumService,
    K8sServiceNamespace,
    K8sServiceSelectorNamespace,
)
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement


def labels(*keys: str) -> LabelSelector:
    return LabelSelector(dict.fromkeys(keys, ""))


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    return LabelSelector({}, (LabelSelectorRequirement(key, operator, values),))


@pytest.mark.parametrize("key", ["app", "k8s:app", "any:example.org/app", "k8s:a.b"])
def test_keys_with_and_without_a_source(key: str) -> None:
    peers.check_peer(labels(key), "x")
    peers.check_workloads(expression(key, "In", "a"), "x")


@pytest.mark.parametrize("key", ["node:zone", "k8s:zone", "zone"])
def test_keys_of_nodes(key: str) -> None:
    peers.check_sourced(labels(key), peers.OF_NODES, "x")


@pytest.mark.parametrize("key", ["node:zone", "cidr:10.0.0.0/8", "cni:a", ":a"])
def test_workloads_have_no_labels_of_other_sources(key: str) -> None:
    with pytest.raises(ManifestError, match="of a source without labels here"):
        peers.check_peer(labels(key), "x")


@pytest.mark.parametrize("name", ["host", "world", "remote-node", "unmanaged", "health", "init"])
def test_a_reserved_label_names_a_peer(name: str) -> None:
    peers.check_peer(labels(f"reserved:{name}"), "x")
    peers.check_peer(expression(f"reserved:{name}", "Exists"), "x")
    with pytest.raises(ManifestError, match="must stand alone"):
        peers.check_peer(labels(f"reserved:{name}", "app"), "x")
    with pytest.raises(ManifestError, match="no workload has the label"):
        peers.check_workloads(labels(f"reserved:{name}"), "x")


@pytest.mark.parametrize("name", ["ingress", "kube-apiserver", "host"])
def test_what_is_not_reserved_may_be_asked_for_beside_labels(name: str) -> None:
    absent = LabelSelectorRequirement(f"reserved:{name}", "DoesNotExist")
    peers.check_workloads(LabelSelector({"app": "web"}, (absent,)), "x")
    peers.check_peer(LabelSelector({"app": "web"}, (absent,)), "x")


@pytest.mark.parametrize("name", ["kube-apiserver"])
def test_peers_that_are_not_known_yet(name: str) -> None:
    with pytest.raises(ManifestError, match="is not supported yet: "):
        peers.check_entity(name, "x")
    with pytest.raises(ManifestError, match="is not supported yet: "):
        peers.check_peer(labels(f"reserved:{name}"), "x")


def test_a_subject_stays_in_its_namespace() -> None:
    key = "k8s:io.kubernetes.pod.namespace"
    peers.check_own_namespace(labels("app"), "shop", "x")
    peers.check_own_namespace(LabelSelector({key: "shop"}), "shop", "x")
    peers.check_own_namespace(expression(key, "Exists"), "shop", "x")
    for selector in (LabelSelector({key: "b"}), expression(key, "NotIn", "shop")):
        with pytest.raises(ManifestError, match="outside of the policy's namespace shop"):
            peers.check_own_namespace(selector, "shop", "x")


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.1.2.3/8", "169.254.169.254", "fd00::/8", "::1"])
def test_cidrs(text: str) -> None:
    peers.check_cidr(text, "x")


def test_a_bad_address_is_named_as_it_was_written() -> None:
    with pytest.raises(ManifestError, match=r'x: "10\.0\.0\.256" is not'):
        peers.check_cidr("10.0.0.256", "x")


def test_cidr_rules() -> None:
    peers.check_cidr_rule(CIDRRule("10.0.0.0/8", except_=("10.0.0.0/8", "10.1.0.0/16")), "x")
    peers.check_cidr_rule(CIDRRule(cidr_group_ref="a", except_=("10.1.0.0/16",)), "x")
    peers.check_cidr_rule(CIDRRule(cidr_group_selector=LabelSelector()), "x")
    with pytest.raises(ManifestError, match="exactly one of"):
        peers.check_cidr_rule(CIDRRule("10.0.0.0/8", "a"), "x")


def test_services() -> None:
    peers.check_service(CiliumService(K8sServiceNamespace("db")), "x")
    by_labels = K8sServiceSelectorNamespace(LabelSelector({"k8s:a": "b"}), "shop")
    peers.check_service(CiliumService(k8s_service_selector=by_labels), "x")
    with pytest.raises(ManifestError, match="needs a k8sService"):
        peers.check_service(CiliumService(), "x")
