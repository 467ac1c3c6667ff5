"""What `tulle install` and `tulle upgrade` are told of an installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tulle.errors import UsageError

from .kubernetes import kubernetes_options
from .output import F, format_option, print_json

if TYPE_CHECKING:
    from tulle.install.revisions import Revision
    from tulle.install.upgrade import Wish

_OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option("--set", "words", metavar="PATH=VALUE", multiple=True, help="A value."),
    click.option("-f", "--values", "file", metavar="FILE", help="Values, as the chart takes them."),
    click.option("--timeout", type=click.IntRange(1), default=600, show_default=True, help="In s."),
    click.option("--no-wait", is_flag=True, help="Return before every node has the new version."),
    click.option("--force", is_flag=True, help="Go past what preflight refuses."),
    kubernetes_options,
    format_option("text", "json"),
)


def installing(function: F) -> F:
    """Declares the options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def wish_of(values: Mapping[str, Any]) -> Wish:
    """Raises UsageError for a value that is none, by its name."""
    from tulle.install.upgrade import Wish
    from tulle.install.values import chosen, read_words

    given = {**_from_file(values.get("file")), **read_words(values.get("words", ()))}
    chosen(given)
    return Wish(
        namespace=values["namespace"],
        values=given,
        timeout_s=float(values["timeout"]),
        force=values.get("force", False),
        waits=not values.get("no_wait", False),
    )


def _from_file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    import yaml

    from tulle.install.values import flat

    try:
        tree = yaml.load(Path(path).read_bytes(), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise UsageError(f"{where}: is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: is not YAML: characters that no text has") from error
    if not isinstance(tree, dict):
        raise UsageError(f"{path}: must be a mapping")
    return flat(tree)


def told(revision: Revision, output: str) -> None:
    if output == "json":
        print_json(
            {
                "revision": revision.number,
                "version": revision.version,
                "state": revision.state,
                "values": dict(revision.values),
            }
        )
    else:
        click.echo(f"Tulle {revision.version} is installed (revision {revision.number})")
