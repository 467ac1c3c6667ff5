"""Of whom a mirrored request is, in the mesh: the proxy's, as whom policies know it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, Json, admit, service, wait_for

MIRROR: Json = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "parentRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "rules": [
            {
                "filters": [
                    {
                        "type": "RequestMirror",
                        "requestMirror": {"backendRef": {"name": name, "port": 80}},
                    }
                    for name in ("here", "there")
                ],
                "backendRefs": [{"name": "web", "port": 80}],
            }
        ],
    },
}


@pytest.fixture(scope="module")
def cluster(clusters: Clusters) -> Iterator[Cluster]:
    with clusters("mirror", ("a", "b")) as made:
        made["a"].run("client", "sleep", "inf")
        made["a"].serve("web")
        made["a"].serve("here")
        made["b"].serve("there")
        made.apply(*(service(name, name) for name in ("web", "here", "there")), MIRROR)
        yield made


def sources(cluster: Cluster, node: str, name: str, verdict: str) -> set[str]:
    """Who has sent something to a workload, as that workload's node has seen it.

    Of a connection that is judged anew the source may be told by its address alone.
    """
    return {
        flow["source"].get("pod_name") or flow["source"]["labels"][0]
        for flow in cluster[node].flows("--to-pod", f"shop/{name}", "--verdict", verdict)
        if flow["source"] and flow["destination"]["pod_name"] == name and flow["hook"] != "proxy"
    }


@pytest.mark.parametrize("family", [4, 6])
def test_the_proxy_mirrors_in_its_own_name(cluster: Cluster, family: int) -> None:
    client = cluster["a"]
    assert client.exec("client", "curl", "-s", "-m", "5", f"-{family}", "http://web/") == "web"
    for node, name in (("a", "here"), ("b", "there")):
        wait_for(lambda n=node, s=name: bool(sources(cluster, n, s, "FORWARDED")))  # type: ignore[misc]
        assert sources(cluster, node, name, "FORWARDED") == {"reserved:ingress"}
    assert sources(cluster, "a", "web", "FORWARDED") == {"client"}


def test_a_policy_keeps_mirrored_requests_out(cluster: Cluster) -> None:
    cluster.apply(*(admit(name, name, "client") for name in ("here", "there", "web")))
    client = cluster["a"]
    assert client.exec("client", "curl", "-s", "-m", "5", "http://web/") == "web"
    for node, name in (("a", "here"), ("b", "there")):
        wait_for(lambda n=node, s=name: bool(sources(cluster, n, s, "DROPPED")))  # type: ignore[misc]
        assert sources(cluster, node, name, "DROPPED") == {"reserved:ingress"}
