"""Builds a world: an org, a site, and the truth about both, written as three files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from troth_sandbox.world import public_deals, public_sprints
from troth_sandbox.world.cadence import monday_cadence
from troth_sandbox.world.crm_org import CrmOrg
from troth_sandbox.world.generated_deals import add_generated_deals
from troth_sandbox.world.generated_teams import GeneratedTeams
from troth_sandbox.world.issue_story import Record
from troth_sandbox.world.jira_site import JiraSite
from troth_sandbox.world.planting import plant
from troth_sandbox.world.scenario import Scenario
from troth_sandbox.world.truth import render


@dataclass(frozen=True)
class World:
    """Contents of the three files, and how much is in them."""

    salesforce: Record
    jira: Record
    truth: Record
    counts: dict[str, int]

    def write(self, folder: Path) -> None:
        """Write salesforce.json, jira.json and truth.json."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("salesforce", "jira", "truth"):
            text = json.dumps(getattr(self, name), ensure_ascii=False, separators=(",", ":"))
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def build_world(
    *, today: date, seed: int = 7, scenario: Scenario | None = None, fixtures: Path | None = None
) -> World:
    """A world for the UTC day ``today``; the same arguments give the same world.

    With ``fixtures`` deals and sprints are public data, otherwise generated. Raises FixtureError and ScenarioError.
    """
    org, site = CrmOrg(today), JiraSite()
    if fixtures:
        public_deals.add_public_deals(org, fixtures, today, seed)
        public_sprints.add_public_teams(site, fixtures, today, seed)
    else:
        add_generated_deals(org, today, seed)
        GeneratedTeams(site, monday_cadence(today), today, seed).add_all()
    truth = plant(scenario or Scenario(), org, site, today, seed)
    truth.added = public_deals.ADDED | public_sprints.ADDED if fixtures else {}
    kind = "public" if fixtures else "generated"
    return World(
        salesforce=org.render(),
        jira=site.render(),
        truth=render(truth, world=kind, today=today, deals=org.deal_count, teams=site.teams),
        counts={"deals": org.deal_count, **site.counts()},
    )
