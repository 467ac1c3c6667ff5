from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tulle.agent.options import NodeOptions
from tulle.agent.source import standalone
from tulle.model.kubernetes import Namespace, ObjectMeta
from tulle.model.paths import NodePaths


def test_nodes_that_share_a_directory_share_its_manifests(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    both = [
        standalone(
            cast(NodePaths, SimpleNamespace(state=tmp_path, last_good=tmp_path / f"{name}.json")),
            NodeOptions(name, cluster=tmp_path),
        )
        for name in ("a", "b")
    ]
    for sources in both:
        sources.source.scan()
    both[0].source.put(Namespace(ObjectMeta("shop")))
    for sources in both:
        sources.source.reread()
        assert sources.source.scan().named(Namespace).keys() == {"shop"}
