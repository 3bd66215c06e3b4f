"""Resolves one hashed requirement file per deployable; no host name is written into them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

LOCKS = Path(__file__).resolve().parent
ROOT = LOCKS.parent.parent
DEPLOYABLES = ("crm-sync", "jira-sync", "risk-engine")
SHARED = ("contracts", "services/chassis")
EVERYTHING = (*SHARED, *(f"services/{name}" for name in DEPLOYABLES), "deploy/sandbox")


def requirements(members: tuple[str, ...]) -> list[str]:
    """Outside requirements of these members, without our own packages."""
    found: set[str] = set()
    for member in members:
        project = tomllib.loads((ROOT / member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        found.update(project["dependencies"])
    return sorted(line for line in found if not line.startswith("troth-"))


def lock(name: str, lines: list[str]) -> None:
    """Writes ``<name>.txt``."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-header"]
    quiet = ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    options = [*quiet, "--universal", "--python-version", "3.11"]
    target = str(LOCKS / f"{name}.txt")
    subprocess.run([*command, *options, "-o", target, "-"], input="\n".join(lines), text=True, check=True)


def main() -> None:
    """Locks each deployable and the development environment."""
    for name in DEPLOYABLES:
        lock(name, requirements((*SHARED, f"services/{name}")))
    development = (LOCKS / "development.in").read_text(encoding="utf-8").split("\n")
    lock(
        "development", [*requirements(EVERYTHING), *(line for line in development if line and line[0] != "#")]
    )


if __name__ == "__main__":
    main()
