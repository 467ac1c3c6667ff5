"""kill -9 at random moments of an apply: the next agent finds its way, and nobody else notices."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress

import yaml

from tests.e2e.mesh import HERE, Json, Mesh, admit, alive, policy, service, wait_for
from tulle.abi import ABI_HASH
from tulle.cli.client import Agent
from tulle.compile.parts import DERIVED
from tulle.edges.bpf import syscall
from tulle.edges.bpf.maps import Map
from tulle.errors import TulleError
from tulle.model.paths import NodePaths

KILLS = 12
APPS = ("web", "client", "stranger")


def kernel_image(mesh: Mesh) -> dict[str, dict[str, str]]:
    """The derived maps as the kernel holds them."""
    found = {}
    for name in DERIVED:
        fd = syscall.get_pinned(f"/sys/fs/bpf/tulle/{mesh.name}/v{ABI_HASH}/{name}")
        found[name] = {key.hex(): value.hex() for key, value in Map(name, fd).items()}
        os.close(fd)
    found["rules"] = dict.fromkeys(found["rules"], "")  # the values are counters
    return found


def compiled_image(mesh: Mesh) -> dict[str, dict[str, str]]:
    return Agent(NodePaths(mesh.name)).get("/v1/image")


def random_objects(rng: random.Random) -> list[Json]:
    """Policies and services that come, change and go; `web` admits `client` in all of them."""
    objects: list[Json] = []
    for index in range(rng.randrange(1, 12)):
        clients = {"client", *rng.sample(APPS, rng.randrange(3))}
        objects.append(admit(f"random-{index}", rng.choice(APPS[:1]), *sorted(clients)))
    for index in range(rng.randrange(1, 12)):
        objects.append(service(f"random-{index}", rng.choice(APPS), port=1000 + index))
    keys = rng.sample(["tier", "team", "zone"], rng.randrange(3))
    selector = {"matchLabels": dict.fromkeys(keys, "x")}
    peers = [{"podSelector": selector}, {"podSelector": {"matchLabels": {"app": "client"}}}]
    objects.append(policy("refines", "web", ingress=[{"from": peers}]))
    return objects


def apply_and_kill(mesh: Mesh, objects: list[Json], after_s: float) -> None:
    pid = mesh.agent_pid()
    timer = threading.Timer(after_s, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with suppress(TulleError):
        Agent(NodePaths(mesh.name)).post("/v1/apply", yaml.safe_dump_all(objects).encode())
    timer.join()
    wait_for(lambda: not alive(pid))


def test_a_killed_apply_is_finished_by_the_next_agent(shop: Mesh) -> None:
    rng = random.Random(os.environ.get("TULLE_TEST_SEED", "1"))
    address = shop.get("services")[0]["cluster_ips"][0]
    load = (sys.executable, str(HERE / "load.py"), address, "80", "20", "0.02")
    traffic = shop.spawn("client", *load)
    assert traffic.stdout is not None and traffic.stdout.readline() == "ready\n"
    for _ in range(KILLS):
        apply_and_kill(shop, random_objects(rng), after_s=rng.uniform(0.0, 0.1))
        shop.start()
        assert kernel_image(shop) == compiled_image(shop)
    time.sleep(1)
    result = json.loads(traffic.communicate()[0])
    assert result["kept"]["failed"] == result["fresh"]["failed"] == 0, result


def test_a_strangers_change_to_a_map_is_mended(shop: Mesh) -> None:
    name, (key, _) = "policy", next(iter(kernel_image(shop)["policy"].items()))
    fd = syscall.get_pinned(f"/sys/fs/bpf/tulle/{shop.name}/v{ABI_HASH}/{name}")
    del Map(name, fd)[bytes.fromhex(key)]
    os.close(fd)
    assert kernel_image(shop) != compiled_image(shop)
    shop.kill_agent()
    shop.start()
    assert kernel_image(shop) == compiled_image(shop)
