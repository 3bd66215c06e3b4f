"""Where the demo finds its inputs and puts its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[5]
SCENARIO = ROOT / "deploy" / "sandbox" / "scenarios" / "demo.yaml"
REPORT = ROOT / "build" / "demo.json"
RUNS = ROOT / "build" / "runs"


def fixtures_folder(environ: Mapping[str, str]) -> Path | None:
    """The public data: TROTH_FIXTURES, else beside the clone, else None."""
    given = environ.get("TROTH_FIXTURES")
    folder = Path(given) if given else ROOT.parent / "shared" / "fixtures"
    return folder if (folder / "crm" / "opportunities").is_dir() else None
