from __future__ import annotations

import msgspec
import pytest

from tests.unit.agent.kube.test_guests import host, runs
from tulle.edges.manifests.fields import FieldError
from tulle.edges.manifests.validate import validate
from tulle.model.hosts import MeshNode, MeshNodeSpec, MeshWorkloadSpec, WorkloadPort


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (MeshNodeSpec(("127.0.0.1",), ("10.0.0.0/24",)), "spec.addresses[0]"),
        (MeshNodeSpec(("192.0.2.1",), ("10.0.0.0/24", "10.1.0.0/24")), "spec.podCIDRs"),
        (MeshNodeSpec(("192.0.2.1",), ("10.0.0.0/99",)), "spec.podCIDRs[0]"),
        (MeshWorkloadSpec("db", ("10.0.0.1", "10.0.0.2")), "spec.addresses"),
        (
            MeshWorkloadSpec(
                "db", ("10.0.0.1",), ports=(WorkloadPort(1, "a"), WorkloadPort(2, "a"))
            ),
            "spec.ports[1].name",
        ),
    ],
)
def test_bad_ones_are_refused_by_field(bad: MeshNodeSpec | MeshWorkloadSpec, reason: str) -> None:
    of = host() if isinstance(bad, MeshNodeSpec) else runs()
    with pytest.raises(FieldError) as told:
        validate(msgspec.structs.replace(of, spec=bad))
    assert str(told.value).startswith(reason)


def test_written_as_kubernetes_writes_addresses() -> None:
    spec = MeshNodeSpec(("FD00::1",), ("fd00:0::/64",))
    good = validate(msgspec.structs.replace(host(), spec=spec))
    assert isinstance(good, MeshNode)
    assert (good.spec.addresses, good.spec.pod_cidrs) == (("fd00::1",), ("fd00::/64",))
