#!/usr/bin/python3 -IS
"""A CNI plugin (1.1) that hands all it is told to the node's agent, and prints what that answers.

It stands in the runtime's directory as a file of its own, starts once a pod, and so imports only
what is built into the interpreter, of any Python from 3.9. An agent that is being restarted is
waited for: that is the queue. Under the name `loopback` it is that plugin, which older containerds
want beside the network's own, and which has nothing to do: our ADD brings that interface up.
"""

import posix
import sys
import time

SOCKET = "@SOCKET@"  # the agent's; written in at installation
PATIENCE_S = 60.0
POLL_S = 0.05
VERBS = (b"ADD", b"DEL", b"CHECK", b"GC", b"STATUS")
VERSIONS = b'{"cniVersion": "1.1.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}\n'
LOOPBACK = {
    b"ADD": b'{"cniVersion": "0.3.1", "interfaces": [{"name": "lo"}]}\n',
    b"VERSION": b'{"cniVersion": "0.3.1", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}\n',
}
# codes of CNI, and the first of our own
BAD_ENVIRONMENT, IO_FAILURE, TRY_AGAIN_LATER, NOT_AVAILABLE, NO_ANSWER = 4, 5, 11, 50, 100
ECONNRESET = 104
AWAY = (2, 11, 32, ECONNRESET, 111)  # ENOENT, EAGAIN, EPIPE, ECONNREFUSED


def main() -> int:
    verb = posix.environ.get(b"CNI_COMMAND", b"")
    if sys.argv[0].endswith("/loopback"):
        return say(LOOPBACK.get(verb, b""))
    if verb == b"VERSION":
        return say(VERSIONS)
    if verb not in VERBS:
        reason = "CNI_COMMAND: must be ADD, DEL, CHECK, GC, STATUS or VERSION"
        return fail(BAD_ENVIRONMENT, reason)
    try:
        status, answer = ask_patiently(verb, variables() + b"\0\0" + read(0))
    except OSError as error:
        if not is_away(error):
            return fail(IO_FAILURE, f"socket {SOCKET}: {error}")
        code = NOT_AVAILABLE if verb == b"STATUS" else TRY_AGAIN_LATER
        return fail(code, f"the agent of this node does not answer on {SOCKET}: try again later")
    if status == b"200":
        return say(answer)
    if answer.startswith(b'{"cniVersion"'):
        return say(answer, 1)
    return fail(NO_ANSWER, f"the agent answered with HTTP status {status.decode('latin-1')}")


def variables() -> bytes:
    """NAME=VALUE of all that the runtime has set, each followed by a NUL but the last."""
    known = posix.environ.items()
    return b"\0".join(name + b"=" + value for name, value in known if name.startswith(b"CNI_"))


def ask_patiently(verb: bytes, body: bytes) -> "tuple[bytes, bytes]":
    """Raises OSError, also if the agent is away for long."""
    # nobody waits long for whether a pod can be added
    deadline = time.monotonic() + (0.0 if verb == b"STATUS" else PATIENCE_S)
    while True:
        try:
            return ask(verb, body, max(deadline - time.monotonic(), 1.0))
        except OSError as error:
            if not is_away(error) or time.monotonic() + POLL_S > deadline:
                raise
        time.sleep(POLL_S)


def is_away(error: OSError) -> bool:
    return error.errno in AWAY or error.args == ("timed out",)


def ask(verb: bytes, body: bytes, timeout_s: float) -> "tuple[bytes, bytes]":
    """Status and body of the answer. Raises OSError; then any verb may be sent again."""
    import _socket  # a file of its own, which VERSION can do without

    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        agent.settimeout(timeout_s)
        agent.connect(SOCKET)
        head = b"POST /v1/cni/%b HTTP/1.0\r\nHost: tulle\r\nContent-Length: %d\r\n\r\n"
        agent.sendall(head % (verb, len(body)) + body)
        answer = b""
        while part := agent.recv(65536):
            answer += part
    finally:
        agent.close()
    first, found, rest = answer.partition(b"\r\n\r\n")
    words = first.split(None, 2)
    if not found or len(words) < 2:
        raise OSError(ECONNRESET, "the connection ended before the answer")
    return words[1], rest


def read(fd: int) -> bytes:
    text = b""
    while part := posix.read(fd, 65536):
        text += part
    return text


def say(text: bytes, code: int = 0) -> int:
    while text:
        text = text[posix.write(1, text) :]
    return code


def fail(code: int, reason: str) -> int:
    words = "".join(char if char.isprintable() and char not in '"\\' else "?" for char in reason)
    answer = f'{{"cniVersion": "1.1.0", "code": {code}, "msg": "{words}"}}\n'
    return say(answer.encode("utf-8", "replace"), 1)


if __name__ == "__main__":
    posix._exit(main())  # the interpreter's own end takes a fifth of the time
