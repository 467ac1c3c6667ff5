"""Gateways, their listeners and what is not HTTP: every feature that the Gateway API names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conformance.ground import Ground, standing
from tests.e2e.conformance.rows import GATEWAYS
from tests.e2e.conformance.table import Row
from tests.e2e.conftest import Clusters


@pytest.fixture(scope="module")
def ground(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with clusters("gates", ("a", "b")) as cluster:
        yield Ground(cluster, tmp_path_factory.mktemp("certificates"), GATEWAYS)


@pytest.mark.parametrize("row", [standing(row) for row in GATEWAYS])
def test_feature(ground: Ground, row: Row) -> None:
    ground.judge(row)
