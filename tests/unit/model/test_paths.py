"""Names of nodes and objects become paths: only those that are safe as one."""

import pytest

from tulle.errors import Refused
from tulle.model.paths import NodePaths, require_label, require_subdomain


def test_local_node_is_the_machine_and_reads_etc() -> None:
    paths = NodePaths()
    assert paths.netns is None
    assert str(paths.manifests) == "/etc/tulle/manifests"
    assert str(paths.socket) == "/run/tulle/local/agent.sock"


def test_other_nodes_keep_everything_below_their_own_state() -> None:
    paths = NodePaths("n1")
    assert paths.netns is not None
    assert {str(p.relative_to(paths.state)) for p in (paths.manifests, paths.netns)} == {
        "manifests",
        "netns/node",
    }
    assert (paths.cgroup, str(paths.bpffs)) == ("tulle-n1", "/sys/fs/bpf/tulle/n1")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a-", "a_b", "a.b", "x" * 21, "a\n"])
def test_bad_node_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="node"):
        NodePaths(name)


def test_subdomain_is_labels_joined_by_dots() -> None:
    assert require_subdomain("web-1.shop", "name") == "web-1.shop"
    for bad in ("", ".", "a..b", "a.", "../a", "x" * 181):
        with pytest.raises(Refused, match="at most 180"):
            require_subdomain(bad, "name")


def test_label_limit_is_named() -> None:
    with pytest.raises(Refused, match=r"namespace 'x{64}': must be at most 63"):
        require_label("x" * 64, "namespace")
