"""Fails when the tree itself is wrong: what no compiler, linter or test can see.

- a source without a test of its own name, unless pyproject.toml says what tests it instead;
- a module or header that nothing uses;
- a file that names a host not listed, or a path of the machine it was written on;
- a lock file that names where packages came from;
- a dependency without its hashes in requirements/.

Prints one line a finding and exits with 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

MADE = {".git", ".venv", ".tools", "build", "dist", "objects", "__pycache__"}
CACHES = re.compile(r"\..*cache$|\.hypothesis$|.*\.egg-info$")
SYSTEM = {"home", "mnt", "opt", "root", "srv", "tmp", "usr", "var"}
LOCKS = ("uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json")
URL = re.compile(r"[a-z]+://(?:[^\s/@\"'{]*@)?([A-Za-z0-9.-]+)")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
RESERVED = re.compile(r"(^|\.)(example(\.com|\.net|\.org)?|test|invalid|local|internal|svc)$")


@dataclass(frozen=True)
class Settings:
    """`[tool.check_tree]` of pyproject.toml."""

    hosts: frozenset[str]  # that files may name
    entry_points: frozenset[str]  # modules that are started, not imported
    tested_by: dict[str, str]  # source or folder/ → the test that covers it, or why it needs none

    @classmethod
    def read(cls, root: Path) -> Settings:
        table = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["check_tree"]
        return cls(
            frozenset(table["hosts"]),
            frozenset(table["entry_points"]),
            dict(table["tested_by"]),
        )


def files(root: Path) -> Iterator[Path]:
    """Every file that belongs to the project, sorted, without what is made from it."""
    for path in sorted(root.iterdir()):
        if path.name in MADE or CACHES.match(path.name) or path.is_symlink():
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def defines_something(source: Path) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(source.read_text())))


def test_of(source: Path) -> Path:
    """Where the test of src/tulle/x/y.py stands; a package's own code is tested under its name."""
    inside = source.relative_to("src/tulle")
    if inside.name == "__init__.py":
        inside = inside.parent.with_suffix(".py") if inside.parent.name else Path("tulle.py")
    return Path("tests/unit") / inside.parent / f"test_{inside.stem.strip('_')}.py"


def is_listed(source: Path, settings: Settings) -> bool:
    folders = [f"{parent}/" for parent in source.parents]
    return any(name in settings.tested_by for name in [str(source), *folders])


def untested(root: Path, settings: Settings) -> Iterator[str]:
    sources = [path.relative_to(root) for path in sorted(root.glob("src/tulle/**/*.py"))]
    for source in sources:
        if is_listed(source, settings) or not defines_something(root / source):
            continue
        if not (root / test_of(source)).is_file():
            yield f"{source}: no {test_of(source)}, and no entry in tool.check_tree.tested_by"
    for name, by in settings.tested_by.items():
        if not (root / name).exists():
            yield f"pyproject.toml: tool.check_tree.tested_by: no file {name}"
        elif by.startswith("tests/") and not (root / by).exists():
            yield f"pyproject.toml: tool.check_tree.tested_by: no file {by}"


def module_of(source: Path) -> str:
    parts = source.relative_to("src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(source: Path, module: str, package: bool) -> Iterator[str]:
    """Names that a file imports, lazily too; `from x import y` gives x and x.y."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                keep = len(parents) - node.level + package
                base = ".".join(parents[:keep] + ([base] if base else []))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def unimported(root: Path, settings: Settings) -> Iterator[str]:
    """Modules that nothing but themselves and tests import."""
    used = set(settings.entry_points)
    modules = {}
    for path in files(root):
        name = path.relative_to(root)
        if path.suffix != ".py" or name.parts[0] == "tests":
            continue
        if name.parts[:2] == ("src", "tulle"):
            module, package = module_of(name), name.name == "__init__.py"
            modules[module] = name
            used.update(set(imported_by(path, module, package)) - {module})
        else:
            used.update(imported_by(path, "", False))
    # a package is used when anything inside it is
    used.update(".".join(parts[:n]) for parts in [u.split(".") for u in used] for n in range(1, 9))
    for module, name in modules.items():
        if module not in used and (root / name).stat().st_size:
            yield f"{name}: nothing imports it, and tool.check_tree.entry_points has it not"


def unincluded(root: Path) -> Iterator[str]:
    sources = [path for path in files(root / "bpf") if path.suffix in (".c", ".h")]
    used = {Path(name).name for path in sources for name in INCLUDE.findall(path.read_text())}
    for path in sources:
        if path.suffix == ".h" and path.name not in used:
            yield f"{path.relative_to(root)}: nothing includes it"


def is_reserved(host: str) -> bool:
    """Whether a host can only be a placeholder: an address, one word, or a reserved name."""
    try:
        ip_address(host)
    except ValueError:
        return "." not in host.strip(".") or bool(RESERVED.search(host))
    return True


def private_paths(root: Path) -> re.Pattern[str]:
    """Homes, this checkout, and what lies beside it: never a mere word like its first directory,
    which a file may use as a path of its own."""
    paths = [r"/home/\w", r"/root/\w", re.escape(f"{root}/")]
    if len(root.parts) > 2 and root.parts[1] not in SYSTEM:
        paths += sorted(re.escape(str(path)) + r"\b" for path in root.parent.iterdir())
    return re.compile(r"(?<![\w.}\])*])(?:" + "|".join(paths) + ")")


def named_places(root: Path, settings: Settings) -> Iterator[str]:
    private = private_paths(root)
    for path in files(root):
        name = path.relative_to(root)
        if path.name in LOCKS:
            yield f"{name}: names where packages came from; requirements/ holds hashes instead"
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        for number, line in enumerate(lines, 1):
            for host in URL.findall(line):
                if host not in settings.hosts and not is_reserved(host):
                    yield f"{name}:{number}: host {host} is not in tool.check_tree.hosts"
            if found := private.search(line):
                yield f"{name}:{number}: a path of one machine: {found[0]}"


def unlocked(root: Path) -> Iterator[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = [
        *project.get("project", {}).get("dependencies", []),
        *project.get("dependency-groups", {}).get("dev", []),
    ]
    locked = set(re.findall(r"^([\w.-]+)==", (root / "requirements/dev.txt").read_text(), re.M))
    for name in (re.split(r"[^\w.-]", item)[0].lower() for item in wanted):
        if name not in locked:
            yield f"requirements/dev.txt: no {name}: run `./run lock`"


def findings(root: Path) -> list[str]:
    settings = Settings.read(root)
    return [
        *untested(root, settings),
        *unimported(root, settings),
        *unincluded(root),
        *named_places(root, settings),
        *unlocked(root),
    ]


def main() -> int:
    found = findings(Path(__file__).resolve().parent.parent)
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
