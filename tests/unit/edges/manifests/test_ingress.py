import pytest

from tests.hostile.gateways import INGRESS
from tests.unit.edges.manifests.test_gateway import said


def path(**part: object) -> str:
    backend = {"service": {"name": "a", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend, **part}]
    return said(INGRESS, rules=[{"http": {"paths": paths}}])


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"pathType": "Exact", "path": "/a/b"}, ""),
        ({"pathType": "ImplementationSpecific", "path": ""}, ""),
        ({"pathType": "ImplementationSpecific", "path": "a"}, "must start with /"),
        ({"path": "/a//b"}, 'must not contain "//"'),
        ({"path": "/a/."}, 'must not end with "/."'),
        ({"backend": {"service": {"name": "a", "port": {}}}}, "needs one of name and number"),
        ({"backend": {"resource": {"kind": "B", "name": "c"}}}, "resource: is not supported"),
    ],
)
def test_paths(part: dict[str, object], reason: str) -> None:
    found = path(**part)
    assert reason in found if reason else not found


def test_an_ingress_leads_somewhere() -> None:
    assert "spec: needs rules or a defaultBackend" in said(INGRESS, rules=[], defaultBackend=None)


def test_hosts_are_names() -> None:
    assert "not an IP address" in said(INGRESS, rules=[{"host": "10.0.0.1"}])
    assert not said(INGRESS, rules=[{"host": "*.a.example"}])
