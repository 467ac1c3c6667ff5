"""Raw bytes to a server, and all that comes back. As a script it does so as it is told on stdin."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Said:
    """Everything that came back, and whether the connection was closed by then."""

    data: bytes
    closed: bool

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(map(int, _STATUS.findall(self.data)))


def say(
    address: tuple[str, int], pieces: Sequence[bytes], answers: int, patience_s: float = 5.0
) -> Said:
    """Sends the pieces one by one; waits for so many answers, and a moment for more than those."""
    with socket.create_connection(address, timeout=patience_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            if len(pieces) > 1:
                time.sleep(0.002)
        end = time.monotonic() + patience_s
        data = b""
        while time.monotonic() < end:
            connection.settimeout(0.15 if len(_STATUS.findall(data)) >= answers else patience_s)
            try:
                more = connection.recv(65536)
            except TimeoutError:
                return Said(data, False)
            except OSError:
                return Said(data, True)
            if not more:
                return Said(data, True)
            data += more
        return Said(data, False)


def main() -> None:
    """A line of JSON for each conversation: what to say where, and then what was said back."""
    for line in sys.stdin:
        address, port, pieces, answers = json.loads(line)
        said = say((address, port), [bytes.fromhex(piece) for piece in pieces], answers)
        print(json.dumps([said.data.hex(), said.closed]), flush=True)


if __name__ == "__main__":
    main()
