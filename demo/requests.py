"""The chapters of the tour in which requests are read: the node's proxy, for what needs it."""

from __future__ import annotations

import time

from . import shell
from .screen import Screen
from .shell import NODE, ask
from .stage import CERTIFICATE, STAGE
from .watch import spread, wait_for_pods

REQUESTS = 600
BY_HEADER, TRIES = 100, 40
CANARY = (0.01, 0.10)  # of 600 requests with 5 %: five standard deviations
DOOR = "192.0.2.10"


def canary(screen: Screen) -> None:
    screen.chapter(
        "A canary",
        "Five of a hundred requests to the API go to its new version, and all that ask for it by a"
        " header. This reads requests: from now on connections to the service api, and no others,"
        " pass the node's proxy, an Envoy that Tulle runs.",
    )
    screen.run("tulle", "apply", "-f", str(STAGE / "next.yaml"), "-f", "demo/canary.yaml")
    wait_for_pods()
    words = ("requests", "http://api/", "--new", "4", "--limit", str(REQUESTS))
    counts = spread(screen, shell.client_line(words))
    share = counts.get("api-next", 0) / max(1, sum(counts.values()))
    screen.promise(
        CANARY[0] < share < CANARY[1], f"{share:.1%} of the requests went to the new version"
    )
    words = (*words[:4], "--limit", str(BY_HEADER), "--header", "x-canary: always")
    counts = spread(screen, shell.client_line(words))
    screen.promise(set(counts) == {"api-next"}, "all of them, with the header")
    question = ("explain", "shop/client", "shop/api", "--port", "80", "--http", "GET /")
    screen.run("tulle", *question)


def retry(screen: Screen) -> None:
    screen.chapter(
        "A backend that fails",
        "The service shaky answers every second request with 503. A route asks it again in the"
        " client's place.",
    )
    words = ("requests", "http://shaky/", "--new", "1", "--limit", str(TRIES))
    before = _failed(screen, words)
    screen.run("tulle", "apply", "-f", "demo/retry.yaml")
    after = _failed(screen, words)
    screen.promise(
        before > 0 == after, f"{before} of {TRIES} requests failed, and {after} with retries"
    )


def _failed(screen: Screen, words: tuple[str, ...]) -> int:
    line = shell.client_line(words)
    screen.command(*line)
    with shell.running(line) as load:
        while load.running:
            time.sleep(0.05)
    screen.output(f"{load.count('answered')} answered, {load.count('failed')} failed")
    return load.count("failed")


def gateway(screen: Screen) -> None:
    screen.chapter(
        "A gateway, with TLS",
        f"A Gateway takes HTTPS at {DOOR} for the shop's front. A host outside of the mesh asks it"
        " with curl, which checks the certificate.",
    )
    screen.run("tulle", "apply", "-f", str(STAGE / "certificate.yaml"), "-f", "demo/door.yaml")
    screen.run("tulle", "get", "gateways", crop=True)
    screen.run("tulle", "get", "routes", crop=True)
    outside = ("tulle", "lab", "outside", "--cluster", NODE, "--")
    node = next(item for item in ask("tulle", "get", "nodes")["items"] if item["name"] == NODE)
    screen.run(*outside, "ip", "route", "replace", f"{DOOR}/32", "via", node["underlay"])
    there = ("--connect-to", f"shop.test:443:{DOOR}:443", "--cacert", str(CERTIFICATE))
    curl = (*outside, "curl", "-s", "-w", "\\n%{http_code} over HTTP/%{http_version}\\n", *there)
    screen.run(*curl, "https://shop.test/")
    answer = shell.run(*curl, "https://shop.test/")
    screen.promise(
        "replica" in answer and "200 over HTTP/2" in answer,
        "curl, outside, has an answer over TLS and HTTP/2",
    )
    moved = ("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-H", "Host: shop.test")
    answer = shell.run(*outside, "curl", "-s", *moved, f"http://{DOOR}/")
    screen.promise(answer == "301 https://shop.test/", "without TLS it is sent there")
