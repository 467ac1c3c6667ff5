"""Whom a client trusts and what it shows, each as PEM in memory."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from pathlib import Path

import pytest

from tests.e2e.conformance.certificates import Authority, Pair
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access
from tulle.edges.kubernetes.tls import context_of
from tulle.errors import Refused, Unavailable

CLUSTER = Authority("cluster")
OTHER = Authority("other")


async def version(access: Access) -> bytes:
    client = Client(access, timeout_s=5)
    try:
        return await client.get("/version")
    finally:
        await client.close()


def ask(access: Access, shown: Pair, ask_client: bool = False) -> bytes:
    """The answer of a server that shows `shown`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def main() -> bytes:
        context = serving(shown, ask_client)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        async with (
            asyncio.timeout(10),
            await asyncio.start_server(answer, sock=listener, ssl=context),
        ):
            return await version(
                Access(
                    f"https://127.0.0.1:{port}",
                    access.ca,
                    cert=access.cert,
                    key=access.key,
                    server_name=access.server_name,
                )
            )

    return asyncio.run(main())


def serving(shown: Pair, ask_client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pair.pem"
        path.write_text(shown.certificate + shown.key)
        context.load_cert_chain(path)
    if ask_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=CLUSTER.pem)
    return context


def access(authority: Authority = CLUSTER, pair: Pair | None = None, name: str = "api") -> Access:
    return Access(
        "https://api",
        authority.pem.encode(),
        cert=pair.certificate.encode() if pair else b"",
        key=pair.key.encode() if pair else b"",
        server_name=name,
    )


def test_the_server_is_who_it_should_be() -> None:
    assert ask(access(), CLUSTER.issue("api")) == b"{}"
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        ask(access(OTHER), CLUSTER.issue("api"))
    with pytest.raises(Unavailable, match="Hostname mismatch"):
        ask(access(name="another"), CLUSTER.issue("api"))


def test_the_client_shows_who_it_is() -> None:
    shown = CLUSTER.issue("api")
    assert ask(access(pair=CLUSTER.issue("me")), shown, ask_client=True) == b"{}"
    for pair in (None, OTHER.issue("me")):
        with pytest.raises(Unavailable):
            ask(access(pair=pair), shown, ask_client=True)


def test_what_is_no_pem_is_refused() -> None:
    good = CLUSTER.issue("me")
    with pytest.raises(Refused, match="certificate authority"):
        context_of(Access("https://api", b"no certificate"))
    with pytest.raises(Refused, match="certificate authority"):
        context_of(Access("https://api", b"\xff"))
    for cert, key in [("none", good.key), (good.certificate, CLUSTER.issue("you").key)]:
        with pytest.raises(Refused, match="client certificate and key") as refusal:
            context_of(Access("https://api", cert=cert.encode(), key=key.encode()))
        assert "PRIVATE" not in str(refusal.value)


def test_a_key_that_wants_a_password_does_not_ask_for_it() -> None:
    from cryptography.hazmat.primitives import serialization

    good = CLUSTER.issue("me")
    key = serialization.load_pem_private_key(good.key.encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    with pytest.raises(Refused, match="client certificate and key"):
        context_of(Access("https://api", cert=good.certificate.encode(), key=locked))
