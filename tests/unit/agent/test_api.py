"""A workload that is not in the mesh does not stay. The rest of the API: tests/e2e."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.agent import api
from tulle.errors import KernelError, Refused, TulleError

WEB = workload("web-1")


class FakeAgent:
    """Its first pass saw nobody; the next one gives `outcome`, or raises it."""

    def __init__(self, outcome: Any) -> None:
        self.current, self.outcome = pass_of(world_of()), outcome
        self.deleted: list[object] = []
        self.workloads = SimpleNamespace(create=lambda *_: WEB, delete=self.deleted.append)

    async def converge(self) -> Any:
        if isinstance(self.outcome, TulleError):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (pass_of(world_of()), Refused),  # another node has taken the name at the same time
        (KernelError(28, "map 'policy'"), KernelError),
    ],
)
def test_a_workload_that_did_not_get_into_the_mesh_is_removed(
    outcome: Any, error: type[Exception]
) -> None:
    agent = FakeAgent(outcome)

    async def read() -> bytes:
        return b'{"namespace": "shop", "name": "web-1"}'

    request: Any = SimpleNamespace(app={api.AGENT: agent}, read=read)
    with pytest.raises(error):
        asyncio.run(api._create_workload(request))
    assert agent.deleted == [WEB.key]
