"""What keeps a rollout from being done."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.install.cluster import daemons_lack, replicas_lack


def daemons(wanted: int, updated: int, available: int, seen: int = 2) -> dict[str, Any]:
    status = {
        "observedGeneration": seen,
        "desiredNumberScheduled": wanted,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
    }
    return {"metadata": {"generation": 2}, "status": status}


@pytest.mark.parametrize(
    ("have", "reason"),
    [
        (None, "not there"),
        (daemons(3, 3, 3, seen=1), "not seen by its controller"),
        ({"metadata": {"generation": 1}}, "not seen by its controller"),
        (daemons(3, 1, 3), "1 of 3 nodes have the new version"),
        (daemons(3, 3, 2), "ready on 2 of 3 nodes"),
        (daemons(3, 3, 3), ""),
    ],
)
def test_daemons(have: dict[str, Any] | None, reason: str) -> None:
    assert daemons_lack(have) == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}, "2 of 2 have the new"),
        ({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, "1 of 2 have the new"),
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, "1 of 2 are ready"),
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, ""),
    ],
)
def test_replicas(status: dict[str, int], reason: str) -> None:
    have = {"metadata": {}, "spec": {"replicas": 2}, "status": status}
    assert replicas_lack(have).startswith(reason)
    assert bool(replicas_lack(have)) == bool(reason)
