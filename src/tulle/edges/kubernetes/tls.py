"""The TLS side of a client: whom it trusts, and what it shows."""

from __future__ import annotations

import os
import ssl
from asyncio.sslproto import SSLProtocol

from tulle.errors import Refused

from .config import Access

# What each connection keeps to read into, and each watch is one: 256 KiB, unless told. A record
# of TLS is 16.
SSLProtocol.max_size = 32 << 10


def context_of(access: Access) -> ssl.SSLContext:
    """Raises Refused for PEM that is none."""
    try:
        context = ssl.create_default_context(cadata=access.ca.decode() or None)
    except (ssl.SSLError, ValueError) as error:
        raise Refused(f"{access.server}: certificate authority: no PEM certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.cert:
        _show(context, access)
    return context


def _show(context: ssl.SSLContext, access: Access) -> None:
    # OpenSSL's Python side reads files only: one in memory, so that the key is never on a disk.
    fd = os.memfd_create("tulle-client", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(access.cert.rstrip() + b"\n" + access.key)
        context.load_cert_chain(f"/proc/self/fd/{fd}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise Refused(f"{access.server}: client certificate and key: no PEM that fits") from error
    finally:
        os.close(fd)


def _no_password() -> str:
    raise ValueError("the key is encrypted")
