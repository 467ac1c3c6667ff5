"""Routes of Services, for workloads (GAMMA): every feature that the Gateway API names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conformance.ground import Ground, standing
from tests.e2e.conformance.rows import MESH
from tests.e2e.conformance.table import Row
from tests.e2e.conftest import Clusters


@pytest.fixture(scope="module")
def ground(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with clusters("mesh", ("a", "b")) as cluster:
        yield Ground(cluster, tmp_path_factory.mktemp("certificates"), MESH)


@pytest.mark.parametrize("row", [standing(row) for row in MESH])
def test_feature(ground: Ground, row: Row) -> None:
    ground.judge(row)
