"""How verbs come to a cluster's API server."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tulle.errors import UsageError

from .output import F

if TYPE_CHECKING:
    from tulle.edges.kubernetes.config import Access
    from tulle.install.cluster import Cluster

T = TypeVar("T")

NAMESPACE = "tulle-system"


def _checked(ctx: click.Context, param: click.Parameter, name: str) -> str:
    from tulle.edges.manifests.syntax import is_dns_label

    if not is_dns_label(name):
        raise UsageError(f"--namespace: {name!r} cannot be a namespace's name")
    return name


namespace_option = click.option(
    "-n", "--namespace", default=NAMESPACE, callback=_checked, help="Of the installation."
)


def kubernetes_options(function: F) -> F:
    """Declares where the API server is, as whom it is asked, and the namespace of Tulle."""
    for option in (
        namespace_option,
        click.option("--kubernetes-server", metavar="URL", help="Goes before that of the file."),
        click.option("--context", metavar="NAME", help="Of the kubeconfig."),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            help="[default: $KUBECONFIG, ~/.kube/config, or the pod's own account]",
        ),
    ):
        function = option(function)
    return function


def within(values: Mapping[str, Any], work: Callable[[Cluster], Coroutine[Any, Any, T]]) -> T:
    """What `work` comes to. Lines of what happens go to stderr. Raises TulleError."""
    import asyncio

    return asyncio.run(_within(access_of(values), work))


async def _within(access: Access, work: Callable[[Cluster], Coroutine[Any, Any, T]]) -> T:
    from tulle.edges.kubernetes.client import Client
    from tulle.edges.kubernetes.discovery import discover
    from tulle.install.cluster import Cluster

    client = Client(access)
    try:
        say = lambda line: click.echo(line, err=True)  # noqa: E731
        return await work(Cluster(client, await discover(client), say))
    finally:
        await client.close()


def access_of(values: Mapping[str, Any]) -> Access:
    """Raises Refused, or UsageError if there is nothing that says where to go."""
    from tulle.edges.kubernetes.config import from_kubeconfig, from_pod

    server = values["kubernetes_server"] or ""
    path = _kubeconfig(values["kubeconfig"])
    if path is not None:
        return from_kubeconfig(path, values["context"] or "", server=server)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return from_pod(server)
    raise UsageError("no kubeconfig: name one with --kubeconfig, or set KUBECONFIG")


def _kubeconfig(given: str | None) -> Path | None:
    if given:
        return Path(given)
    if several := os.environ.get("KUBECONFIG"):
        return Path(several.split(os.pathsep)[0])
    usual = Path.home() / ".kube/config"
    return usual if usual.exists() else None
