"""`tulle install`: Tulle in a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .chosen import installing, told, wish_of
from .kubernetes import within
from .output import print_json


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the manifests, and ask no cluster.")
@installing
def command(dry_run: bool, output: str, **values: Any) -> None:
    """Install Tulle in a cluster.

    Judges nodes and what runs there first, has the API server judge every object, and only then
    changes anything. Returns when every node has an agent.
    """
    wish = wish_of(values)
    if dry_run:
        _print(wish.values or {}, wish.namespace, output)
        return
    from tulle.install.upgrade import install

    told(within(values, lambda cluster: install(cluster, wish, anew=True)), output)


def _print(values: Mapping[str, Any], namespace: str, output: str) -> None:
    """As JSON it is a list, which `kubectl apply` takes as well."""
    from tulle.install import plain
    from tulle.install.marks import Setting
    from tulle.install.objects import everything
    from tulle.install.values import chosen

    setting = Setting(chosen(values), namespace, plain.MANAGER, plain.CURRENT)
    made = plain.settled(everything(), setting)
    if output == "json":
        print_json({"apiVersion": "v1", "kind": "List", "items": list(made)})
    else:
        click.echo(plain.to_yaml(made), nl=False)
