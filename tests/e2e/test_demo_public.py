"""`make demo ONCE=1` on public data: thousands of real deals, hundreds of real sprints, exactly the planted stories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.e2e.play import GIVEN_SERVERS

DEADLINE = 280.0


@pytest.mark.timeout(600)
def test_the_demo_finds_what_is_planted_in_public_data(fixtures_dir: Path, tmp_path: Path) -> None:
    report = tmp_path / "demo.json"
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN_SERVERS}
    demo = subprocess.run(
        [
            *(sys.executable, "-m", "troth_sandbox.demo", "--once"),
            *("--report", str(report), "--deadline", str(DEADLINE)),
        ],
        env=environ | {"TROTH_FIXTURES": str(fixtures_dir)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE + 240,
        check=False,
    )

    assert report.exists(), demo.stdout[-4000:] + demo.stderr[-2000:]
    told = json.loads(report.read_text())
    assert demo.returncode == 0, demo.stdout[-4000:]
    assert told["world"] == "public"
    assert told["deals"] >= 8_000
    assert told["sprints"] >= 300
    assert len(told["planted"]) >= 3
    assert told["found"] == told["planted"]
    assert told["unexpected"] == []
    assert told["healthy_teams"] >= 3
    assert told["seconds_to_last_alert"] > 0
