"""The chapter of the tour in which requests and questions are judged by the kernel alone."""

from __future__ import annotations

import time

from . import shell
from .screen import Screen
from .shell import ask

TOLD_S = 0.3  # the agent reads what the kernel saw 20 times a second
RESOLVER = ("-n", "shop", "--name", "names", "-l", "app=names", "--", "demo/names.py", "serve")
_INSIDE = ("tulle", "exec", "-n", "shop", "client", "--")
_GET = (*_INSIDE, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}\\n", "http://web/")
_POST = (*_GET, "-X", "POST")
_POLICY = "CiliumNetworkPolicy shop/web-is-read-only"
_REQUESTS = ("observe", "--protocol", "http", "--to-pod", "shop/web", "--last", "2")
_QUESTIONS = ("observe", "--to-pod", "shop/names", "--last", "4")


def read_only(screen: Screen) -> None:
    screen.chapter(
        "Requests and names, judged in the kernel",
        "Whoever may ask the shop's front may GET, and the client may ask for names of the shop"
        " alone. The kernel reads both: no proxy runs on this node.",
    )
    screen.run("tulle", "run", "-d", *RESOLVER)
    screen.run("tulle", "apply", "-f", "demo/read-only.yaml")
    for line in (_GET, _POST, _asking("front.shop.test"), _asking("elsewhere.test")):
        screen.run(*line)
    time.sleep(TOLD_S)
    screen.run("tulle", *_REQUESTS)
    screen.run("tulle", *_QUESTIONS)
    screen.run("tulle", "get", "requests", crop=True)
    screen.run("tulle", "get", "proxies")
    _judge(screen)
    screen.run("tulle", "delete", "-f", "demo/read-only.yaml")


def _asking(name: str) -> tuple[str, ...]:
    endpoints = ask("tulle", "get", "endpoints")["items"]
    server = next(item["addresses"][0] for item in endpoints if item["name"] == "names")
    return (*_INSIDE, "demo/names.py", "ask", server, name)


def _judge(screen: Screen) -> None:
    lines = shell.run("tulle", *_REQUESTS).splitlines()
    screen.promise(
        any("DROPPED" in line and _POLICY in line for line in lines),
        "POST is answered 403, and its flow names the policy",
    )
    screen.promise(
        any("HTTP/1.1 200 " in line and "FORWARDED" in line for line in lines),
        "GET is answered as before: status and latency stand in its flow",
    )
    lines = shell.run("tulle", *_QUESTIONS).splitlines()
    screen.promise(
        any("DROPPED" in line and "shop/client-asks-the-shop" in line for line in lines),
        "the name of somebody else is refused, by a policy's name",
    )
    screen.promise(not ask("tulle", "get", "proxies")["items"], "and no Envoy is there")
