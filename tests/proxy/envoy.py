"""The real Envoy for tests: serving an image on 127.0.0.1, or only judging one."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proxy.static import bootstrap
from tulle.model.proxy import XdsImage

ENVOY = Path(sys.executable).with_name("envoy")
_QUIET = ("--log-level", "warning", "--disable-hot-restart", "--concurrency", "1")
START_S = 20


def judged(image: XdsImage, place: Path) -> str:
    """What Envoy has against an image; "" if nothing."""
    config = place / "judged.pb"
    config.write_bytes(bootstrap(image))
    command = [ENVOY, "--mode", "validate", "-c", config, *_QUIET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stderr + done.stdout


@contextmanager
def serving(image: XdsImage, place: Path) -> Iterator[int]:
    """Envoy until the end of the block; gives its process id."""
    config, admin, log = place / "envoy.pb", place / "admin", place / "envoy.log"
    config.write_bytes(bootstrap(image, str(admin)))
    with log.open("w") as out:
        process = subprocess.Popen([ENVOY, "-c", config, *_QUIET], stdout=out, stderr=out)
    try:
        _wait_until_live(process, admin, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def asked(admin: Path, path: str) -> str:
    """A page of Envoy's administration."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(admin))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def _wait_until_live(process: subprocess.Popen[bytes], admin: Path, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"Envoy ended: {log.read_text()}")
        try:
            if "LIVE" in asked(admin, "/ready"):
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Envoy is not ready: {log.read_text()}")
