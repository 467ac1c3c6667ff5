"""Writes deploy/chart and deploy/tulle.yaml from src/tulle/install; `--check` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tulle.install import helm, plain
from tulle.install.objects import everything, parts

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"


def generate() -> dict[str, str]:
    """Contents by path below deploy/."""
    usual = plain.settled(everything(), plain.usual())
    files = {"tulle.yaml": plain.HEAD + plain.to_yaml(usual)}
    return files | {f"chart/{name}": text for name, text in helm.chart(parts()).items()}


def differing(files: dict[str, str], deploy: Path) -> Iterator[str]:
    for name, text in files.items():
        path = deploy / name
        if not path.is_file() or path.read_text() != text:
            yield f"deploy/{name} is not what src/tulle/install gives"
    for path in sorted(deploy.glob("chart/**/*")):
        name = str(path.relative_to(deploy))
        if path.is_file() and name not in files:
            yield f"deploy/{name}: nothing gives it"


def write(files: dict[str, str], deploy: Path) -> None:
    for path in deploy.glob("chart/**/*"):
        if path.is_file() and str(path.relative_to(deploy)) not in files:
            path.unlink()
    for name, text in files.items():
        path = deploy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def main() -> int:
    files = generate()
    if "--check" not in sys.argv:
        write(files, DEPLOY)
        return 0
    found = list(differing(files, DEPLOY))
    for line in found:
        print(f"{line}: run `./run deploy`")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
