"""Revisions are kept as they are."""

from __future__ import annotations

import asyncio

import pytest

from tulle.errors import Broken
from tulle.install.revisions import Revision, Revisions

from .fake import FakeCluster


def test_what_is_kept_is_what_is_read() -> None:
    kept = Revision(10, "1.2", "failed", {"image.tag": "x"}, ({"kind": "A", "metadata": {}},))
    before = Revision(9, "1.1", "deployed")

    async def run() -> None:
        async with FakeCluster() as server:
            cluster = await server.cluster([])
            revisions = Revisions(cluster, "mesh")
            try:
                assert await revisions.all() == []
                for item in (kept, before):
                    await revisions.keep(item)
                assert await revisions.all() == [before, kept]
                bad = server.get("ConfigMap", "tulle-revision-9", "mesh")
                server.put({**bad, "binaryData": {"objects": "bm90aGluZw=="}})
                with pytest.raises(Broken, match="tulle-revision-9: is no revision"):
                    await revisions.all()
            finally:
                await cluster.client.close()

    asyncio.run(run())
