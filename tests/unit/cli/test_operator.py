"""`tulle operator` as a process: it answers probes, writes, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.unit.agent.kube.test_operator import OBJECTS, until
from tests.unit.edges.kubernetes.server import FakeServer

KUBECONFIG = {
    "current-context": "it",
    "contexts": [{"name": "it", "context": {"cluster": "it", "user": ""}}],
}


def test_it_runs_and_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), FakeServer() as server:
            for obj in OBJECTS:
                server.put(obj)
            clusters = [{"name": "it", "cluster": {"server": server.access.server}}]
            config = tmp_path / "config"
            config.write_text(json.dumps({**KUBECONFIG, "clusters": clusters}))
            words = ("--kubeconfig", config, "--health-port", "0", "--state-dir", tmp_path / "s")
            line = [sys.executable, "-P", "-m", "tulle.cli", "operator", *map(str, words)]
            process = await asyncio.create_subprocess_exec(*line)
            await until(lambda: server.get("Gateway", "door", "shop").get("status"))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            lease = server.get("Lease", "tulle", "tulle-system")
            assert not lease["spec"].get("holderIdentity")

    asyncio.run(main())
