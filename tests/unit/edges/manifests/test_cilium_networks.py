from typing import Any

import msgspec
import pytest

from tests.hostile.policies import GATEWAY
from tulle.edges.manifests.cilium_networks import (
    validate_cidr_group,
    validate_egress_gateway,
    validate_pool,
)
from tulle.errors import ManifestError
from tulle.model.cilium import (
    CiliumCIDRGroup,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    PoolBlock,
)


def pool(*blocks: dict[str, str]) -> tuple[PoolBlock, ...]:
    document = {"metadata": {"name": "p"}, "spec": {"blocks": blocks}}
    return validate_pool(msgspec.convert(document, CiliumLoadBalancerIPPool)).spec.blocks


def gateway(**spec: Any) -> CiliumEgressGatewayPolicy:
    document = {**GATEWAY, "spec": {**GATEWAY["spec"], **spec}}
    return validate_egress_gateway(msgspec.convert(document, CiliumEgressGatewayPolicy))


def test_groups_are_canonical_and_may_be_empty() -> None:
    for given, canonical in (((), ()), (("10.1.2.3/8", "FD00::1/64"), ("10.0.0.0/8", "fd00::/64"))):
        document = {"metadata": {"name": "g"}, "spec": {"externalCIDRs": given}}
        group = validate_cidr_group(msgspec.convert(document, CiliumCIDRGroup))
        assert group.spec.external_cidrs == canonical


def test_an_egress_gateway_is_canonical() -> None:
    egress = {"nodeSelector": {}, "egressIP": "FD00:0::1"}
    spec = gateway(destinationCIDRs=["1.2.3.4/0"], egressGateway=egress).spec
    assert spec.destination_cidrs == ("0.0.0.0/0",)
    assert spec.egress_gateway.egress_ip == "fd00::1"


def test_an_egress_gateway_goes_by_address_and_not_by_interface() -> None:
    with pytest.raises(ManifestError, match="name one of the node's addresses in egressIP"):
        gateway(egressGateway={"nodeSelector": {}, "interface": "eth1"})


def test_an_egress_gateway_selects_pods() -> None:
    gateway(selectors=[{"podSelector": {}}, {"namespaceSelector": {}}])
    with pytest.raises(ManifestError, match=r"selectors\[0\]: needs a podSelector or a namespace"):
        gateway(selectors=[{"nodeSelector": {}}])


def test_pools_are_cidrs_and_ranges() -> None:
    assert pool(
        {"cidr": "203.0.113.9/24"}, {"start": "10.0.0.1"}, {"start": "::1:0", "stop": "::1:9"}
    ) == (
        PoolBlock(cidr="203.0.113.0/24"),
        PoolBlock(start="10.0.0.1", stop="10.0.0.1"),
        PoolBlock(start="::1:0", stop="::1:9"),
    )


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"stop": "10.0.0.1"},
        {"cidr": "10.0.0.0/8", "start": "10.0.0.1"},
        {"start": "10.0.0.2", "stop": "10.0.0.1"},
        {"start": "10.0.0.2", "stop": "fd00::1"},
    ],
)
def test_pools_refused(block: dict[str, str]) -> None:
    with pytest.raises(ManifestError) as caught:
        pool(block)
    assert caught.value.field.startswith("spec.blocks[0]")
