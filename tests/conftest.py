"""What holds for every test."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine makes one example slow; that says nothing about the code.
settings.register_profile("tulle", deadline=None)
settings.load_profile("tulle")

HERE = Path(__file__).parent
# with several processes: what comes last is waited for
LONGEST = (
    "datapath/test_differential.py",
    "e2e/test_programs.py",
    "kubernetes/test_daemonset.py",
    "kubernetes/test_pods_behind.py",
    "kubernetes/test_chaos.py",
    "kubernetes/test_install.py",
    "kubernetes/test_hosts.py",
    "kubernetes/test_first_slice.py",
    "kubernetes/test_clusters.py",
    "kubernetes/test_duties.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files keep their order but for those."""
    turns = {HERE / name: turn for turn, name in enumerate(LONGEST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))
