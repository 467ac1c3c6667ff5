"""A workload that is not in the mesh does not stay. The rest of the API: tests/e2e."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.agent import api
from tulle.errors import KernelError, Refused, TulleError
from tulle.model.kubernetes import ObjectMeta, ObjectRef, Service, ServiceSpec
from tulle.model.world import Refusal

WEB = workload("web-1")


class FakeAgent:
    """Its first pass saw nobody; the next one gives `outcome`, or raises it."""

    def __init__(self, outcome: Any) -> None:
        self.current, self.outcome = pass_of(world_of()), outcome
        self.deleted: list[object] = []
        self.workloads = SimpleNamespace(
            all=dict, create=lambda *_: WEB, delete=self.deleted.append
        )
        self.sandboxes = SimpleNamespace(all=dict)

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


def test_a_workload_of_another_node_is_looked_for_there() -> None:
    agent: Any = FakeAgent(None)
    agent.current = pass_of(replace(world_of(), remote={"b": {WEB.key: WEB}}))
    where = {"namespace": WEB.namespace, "name": WEB.name}
    request: Any = SimpleNamespace(app={api.AGENT: agent}, match_info=where)
    for verb in (api._get_workload, api._delete_workload):
        with pytest.raises(Refused, match="workload shop/web-1 runs on node b"):
            asyncio.run(verb(request))
    agent.workloads.all = lambda: {WEB.key: WEB}
    assert api._key_here(request) == WEB.key


def test_a_pod_of_a_container_runtime_keeps_its_name_and_is_left_to_it() -> None:
    agent: Any = FakeAgent(pass_of(world_of()))
    agent.sandboxes.all = lambda: {WEB.key: WEB}

    async def read() -> bytes:
        return b'{"namespace": "shop", "name": "web-1"}'

    where = {"namespace": WEB.namespace, "name": WEB.name}
    request: Any = SimpleNamespace(app={api.AGENT: agent}, match_info=where, read=read)
    with pytest.raises(Refused, match="shop/web-1 belongs to a pod of this node"):
        asyncio.run(api._create_workload(request))
    with pytest.raises(Refused, match="is a container runtime's"):
        asyncio.run(api._delete_workload(request))


def test_who_loses_to_what_is_applied_is_told() -> None:
    ours, other, known = (ObjectRef("Service", "shop", name) for name in ("a", "web", "old"))
    refusals = tuple(Refusal(ref, "it belongs to Service shop/a") for ref in (ours, other, known))
    before: Any = SimpleNamespace(refusals=refusals[2:])
    now: Any = SimpleNamespace(refusals=refusals)
    service = Service(ObjectMeta("a", "shop"), ServiceSpec())
    parsed: Any = SimpleNamespace(objects=[SimpleNamespace(obj=service)])
    told = ["Service shop/web: it belongs to Service shop/a"]
    assert api._displaced(parsed, before, now) == told
    assert api._displaced(parsed, now, now) == []
