"""The ground that the demo stands on: its directory, a database in it, and the end of all of it.

The shop's files are in one directory that only root can have made, the nodes' in the places of the
cluster `demo`. Nothing of it is needed twice, so what an earlier demo left is removed first.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from string import Template

from bench import namespaces
from tulle.edges.cgroup import find_mount
from tulle.lab.cluster import Cluster
from tulle.model.paths import NodePaths

from . import shell
from .shell import NODE, NODES, DemoError

DEMO = Path(__file__).parent
STAGE = Path("/run/tulle-demo")
CERTIFICATE = STAGE / "door.pem"
SERVERS = {name: STAGE / f"nginx-{name}" for name in ("static", "judged", "proxied")}  # measured
NEEDED = ("nginx", "openssl", "redis-server", "setpriv", "unshare", "wrk")

_PLAIN = f"{namespaces.PREFIX}{os.getpid()}-"  # what the last chapter compares with

_DATABASE = """
listen_addresses = '*'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
fsync = off
shared_buffers = 16MB
autovacuum = off
"""


def only_one() -> socket.socket:
    """Refuses a second demo at the same time, as long as the result is held. Raises DemoError."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind("\0tulle-demo")
    except OSError as error:
        raise DemoError("a demo is running already on this machine") from error
    return lock


def prepare() -> None:
    """Make the shop's directory. Raises DemoError if this machine cannot hold the shop."""
    words = make()
    for name in ("shop.yaml", "second.yaml", "next.yaml"):
        (STAGE / name).write_text(Template((DEMO / name).read_text()).substitute(words))


def make() -> dict[str, str]:
    """The directory without manifests; the words that those need. Raises DemoError."""
    for program in NEEDED:
        if shutil.which(program) is None:
            raise DemoError(f"{program} is not installed: `./run setup` installs it")
    postgres = _postgres()
    for directory in (STAGE, STAGE / "nginx", STAGE / "redis", *SERVERS.values()):
        directory.mkdir(mode=0o755)
    _make_database(postgres)
    _make_certificate()
    words = {"stage": str(STAGE), "demo": str(DEMO), "postgres": str(postgres)}
    conf = Template((DEMO / "nginx.conf").read_text()).substitute(words)
    (STAGE / "nginx.conf").write_text(conf)
    return words


def clear() -> None:
    """Remove everything that a demo makes, this one or one that was killed; may be repeated."""
    if _mesh():
        shell.run("tulle", "lab", "down", *NODES)
    namespaces.remove_stale()
    for path in Path("/run/netns").glob(f"{_PLAIN}*"):
        namespaces.remove_namespace(path.name)
    for directory in (STAGE, *_plain_directories()):
        shutil.rmtree(directory, ignore_errors=True)


def remains() -> list[str]:
    """What is left of the demo on this machine: nothing, after `clear`."""
    networks = Path("/run/netns").glob(f"{_PLAIN}*")
    places = [*_mesh(), STAGE, *networks, *_plain_directories()]
    return [str(place) for place in places if place.exists()]


def _plain_directories() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{_PLAIN}*"))


def _mesh() -> list[Path]:
    """What is there of the cluster and its nodes."""
    places = [Cluster(NODE).directory]
    for paths in map(NodePaths, NODES):
        places += [paths.state, paths.bpffs, find_mount() / paths.cgroup]
    return [place for place in places if place.exists()]


def _postgres() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise DemoError("PostgreSQL is not installed: `./run setup` installs it")
    return found[-1].parent


def _make_database(postgres: Path) -> None:
    """A database cluster to throw away: small, unsafe against power cuts, open to who gets in."""
    data = STAGE / "db"
    data.mkdir(mode=0o700)
    shutil.chown(data, "postgres", "postgres")
    options = ["--auth=trust", "--no-sync", "--wal-segsize=1", "--locale=C.UTF-8"]
    _as_postgres(str(postgres / "initdb"), "-D", str(data), *options)
    with (data / "postgresql.conf").open("a") as config:
        config.write(_DATABASE)
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all all trust\n")
    tables = "create table orders (number serial, placed timestamptz default now());"
    _as_postgres(str(postgres / "postgres"), "--single", "-D", str(data), "postgres", stdin=tables)


def _make_certificate() -> None:
    """For the shop's name, a day long, and the Secret that holds it."""
    key = STAGE / "door.key"
    made = ("-x509", "-days", "1", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    named = ("-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test")
    shell.run("openssl", "req", *made, *named, "-keyout", str(key), "-out", str(CERTIFICATE))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "door", "namespace": "shop"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": CERTIFICATE.read_text(), "tls.key": key.read_text()},
    }
    (STAGE / "certificate.yaml").write_text(json.dumps(secret))  # JSON is YAML


def _as_postgres(*line: str, stdin: str = "") -> None:
    """Not as root, which PostgreSQL refuses, and with shared memory that ends with it."""
    user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    shell.run("unshare", "--ipc", f"--wd={STAGE}", *user, *line, stdin=stdin)
