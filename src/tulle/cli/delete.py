"""`tulle delete`: the objects of manifests, or workloads of `tulle run`."""

from __future__ import annotations

import click

from tulle.errors import AgentDown, TulleError

from . import manifests
from .client import Agent, Json, workload_path
from .get import ALIASES, KINDS
from .output import format_option


@click.command()
@click.option(
    "-f",
    "--filename",
    "names",
    multiple=True,
    metavar="FILE",
    help="Manifest file or directory; - is stdin. May be given several times.",
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Of WORKLOADS.")
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD]...")
@format_option("text", "json")
@click.pass_obj
def command(
    agent: Agent,
    names: tuple[str, ...],
    namespace: str,
    workloads: tuple[str, ...],
    output: str,
) -> None:
    """Delete objects of manifests, or workloads.

    Workloads are those that `tulle run` started; Pods go with their manifests. Returns when they
    are gone: Pods have had their grace period by then.
    """
    if bool(names) == bool(workloads):
        raise click.UsageError("give either -f FILE or the names of workloads")
    if _names_a_kind(workloads):
        raise click.UsageError("objects go with -f FILE, only workloads by name, without a kind")
    if names:
        answer = manifests.send(agent, "delete", names)
    else:
        answer = _delete_workloads(agent, namespace, workloads)
    manifests.report(answer, output)


def _names_a_kind(words: tuple[str, ...]) -> bool:
    """As kubectl has it: `svc web` or `svc/web`. A workload may be called `node`, though."""
    if any("/" in word for word in words):
        return True
    return len(words) > 1 and words[0].lower() in {*KINDS, *ALIASES}


def _delete_workloads(agent: Agent, namespace: str, workloads: tuple[str, ...]) -> Json:
    answer: Json = {"results": [], "errors": [], "warnings": []}
    for name in workloads:
        try:
            agent.delete(workload_path(namespace, name))
        except AgentDown:
            raise
        except TulleError as error:
            answer["errors"].append(str(error))
        else:
            answer["results"].append(
                {"object": f"Workload {namespace}/{name}", "result": "deleted"}
            )
    return answer
