"""The agent as a process: one per node, in the foreground, until SIGTERM or `tulle down`."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from aiohttp import web

from tulle.edges.bpf import bpffs
from tulle.errors import Refused
from tulle.model.paths import NodePaths

from . import heap
from .agent import Agent
from .api import make_app
from .kube.start import prepare
from .naming import Naming
from .options import NodeOptions

log = logging.getLogger("tulle")

SWITCH_S = 0.001  # so long, and not 5 ms, a pass waits for another thread that has much to do


def serve(paths: NodePaths, options: NodeOptions) -> int:
    """Runs until it is told to stop; the exit code. Raises TulleError if it cannot start."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    bpffs.mount()
    for directory in (paths.state, paths.durable, paths.bpffs):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # One that was there before and is away now is not an empty one: the last good objects hold.
    if not (paths.last_good.exists() or options.kubernetes):
        manifests = options.manifests or paths.manifests
        manifests.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(paths.lock)
    paths.socket.unlink(missing_ok=True)  # whoever left one is gone: the lock says so
    try:
        asyncio.run(_run(paths, options))
    finally:
        os.close(lock)
    return 0


async def _run(paths: NodePaths, options: NodeOptions) -> None:
    sources = None
    if options.kubernetes:
        options, sources = await prepare(paths, options, options.kubernetes)
    agent = Agent(paths, options, sources)
    if tell := agent.sources.tell:
        agent.after_pass.append(lambda: tell(agent.current))
    await _serve(agent)


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(fd, 20).decode().strip()
        os.close(fd)
        raise Refused(f"an agent runs for this node already (pid {pid})") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


async def _serve(agent: Agent) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    heap.before_the_first_world()
    sys.setswitchinterval(SWITCH_S)
    naming = Naming(agent)
    agent.after_pass.append(naming.names)  # what a number means now is what its events mean later
    agent.after_pass.append(heap.after_the_first_world)
    await agent.start()
    watch = agent.sources.flows
    watching = [partial(watch, agent.flows, naming.names)] if watch else []
    running = asyncio.create_task(agent.run(*watching))
    # A pass that fails is told by `status`, so the socket opens all the same.
    with suppress(Exception):
        await agent.converge()
    runner = web.AppRunner(make_app(agent, naming, stop), shutdown_timeout=1.0)
    await runner.setup()
    await _listen(runner, agent.paths.socket)
    log.info("node %s: listening on %s", agent.paths.node, agent.paths.socket)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await runner.cleanup()
    for task in (running, stopping):
        task.cancel()
    await asyncio.gather(running, stopping, return_exceptions=True)
    if running.done() and not running.cancelled() and (error := running.exception()):
        raise error


async def _listen(runner: web.AppRunner, path: Path) -> None:
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
