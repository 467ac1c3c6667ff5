import pytest

from tulle.edges.manifests.node import validate_node
from tulle.errors import ManifestError
from tulle.model.kubernetes import NodeAddress, NodeObject, NodeSpec, NodeStatus, ObjectMeta


def checked(spec: NodeSpec, *addresses: NodeAddress) -> NodeObject:
    return validate_node(NodeObject(ObjectMeta("a"), spec, status=NodeStatus(addresses)))


@pytest.mark.parametrize(
    ("spec", "cidrs"),
    [
        (NodeSpec(), ()),
        (NodeSpec("10.1.2.3/24"), ("10.1.2.0/24",)),
        (NodeSpec("", ("FD00::/64", "10.1.0.0/24")), ("fd00::/64", "10.1.0.0/24")),
        (NodeSpec("10.1.0.0/24", ("10.1.0.0/24",)), ("10.1.0.0/24",)),
    ],
)
def test_pod_cidrs_are_complete_and_canonical(spec: NodeSpec, cidrs: tuple[str, ...]) -> None:
    found = checked(spec).spec
    assert found.pod_cidrs == cidrs
    assert found.pod_cidr == (cidrs[0] if cidrs else "")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (NodeSpec("10.1.0.0"), "spec.podCIDR"),
        (NodeSpec("", ("10.1.0.0/24", "x")), "spec.podCIDRs[1]"),
        (NodeSpec("10.2.0.0/24", ("10.1.0.0/24",)), "spec.podCIDR"),
        (NodeSpec("", ("10.1.0.0/24", "10.2.0.0/24")), "spec.podCIDRs"),
    ],
)
def test_pod_cidrs_refused(spec: NodeSpec, field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(spec)
    assert caught.value.field == field


def test_only_addresses_are_read_as_such() -> None:
    name = NodeAddress("node-1", "Hostname")
    found = checked(NodeSpec(), NodeAddress("FD00:0::1", "InternalIP"), name).status.addresses
    assert found == (NodeAddress("fd00::1", "InternalIP"), name)
    with pytest.raises(ManifestError) as caught:
        checked(NodeSpec(), name, NodeAddress("node-1", "ExternalIP"))
    assert caught.value.field == "status.addresses[1].address"
