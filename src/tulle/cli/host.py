"""`tulle host`: what a cluster has to know before a host may join its mesh."""

from __future__ import annotations

import click

from .kubernetes import namespace_option


@click.command()
@click.argument("name")
@click.option(
    "--workload",
    "workloads",
    multiple=True,
    metavar="NAMESPACE/NAME",
    help="What it may run, by name; NAMESPACE/* for anything there.",
)
@click.option("--user", default="", help="As whom it comes.  [default: a service account]")
@namespace_option
@click.option(
    "--admission",
    is_flag=True,
    help="Have the API server (1.30 or newer) refuse what it says of other hosts' workloads.",
)
def command(
    name: str, workloads: tuple[str, ...], user: str, namespace: str, admission: bool
) -> None:
    """Print the rights of the host NAME, for `kubectl apply -f -`.

    With a kubeconfig of that account or user, `tulle up --kubernetes FILE --join --node-name NAME`
    makes it a host of the mesh.
    """
    from tulle.install.hosts import host_objects
    from tulle.install.plain import to_yaml

    made = host_objects(name, namespace, workloads, user, admission=admission)
    click.echo(to_yaml(made), nl=False)
