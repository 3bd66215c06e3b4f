"""Plants a scenario's stories into a world and writes down the truth of each.

Loads are whole points: a safe or healthy load is rounded down, a breaking one up, so rounding never weakens a story.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import ceil, floor
from random import Random

from troth_sandbox.world.cadence import closing_cadence
from troth_sandbox.world.crm_org import CrmOrg
from troth_sandbox.world.errors import ScenarioError
from troth_sandbox.world.generated_teams import GeneratedTeams, TeamProfile
from troth_sandbox.world.issue_story import IssueStory
from troth_sandbox.world.jira_site import JiraSite, Team
from troth_sandbox.world.planted_deals import DealPlanter
from troth_sandbox.world.planted_work import Order, WorkPlanter
from troth_sandbox.world.scenario import (
    Healthy,
    LateForecast,
    Oversold,
    PlantedDeal,
    Promise,
    Scenario,
    Silent,
    TeamChoice,
    UnevenTeam,
    Unlinked,
)
from troth_sandbox.world.truth import Planted, Reckoning, Truth, mean_capacity, steady_teams


def plant(scenario: Scenario, org: CrmOrg, site: JiraSite, today: date, seed: int) -> Truth:
    """Plant everything. Raises ScenarioError when the world lacks a team that is asked for."""
    planter = _Planter(org, site, today, seed)
    for team in scenario.uneven_teams:
        planter.uneven_team(team)
    for oversold in scenario.oversold:
        planter.oversold(oversold)
    for late in scenario.late_forecast:
        planter.late_forecast(late)
    for unlinked in scenario.unlinked_commitment:
        planter.unlinked(unlinked)
    for healthy in scenario.healthy:
        planter.healthy(healthy)
    for silent in scenario.silent:
        planter.silent(silent)
    return planter.truth


class _Planter:
    def __init__(self, org: CrmOrg, site: JiraSite, today: date, seed: int) -> None:
        self.truth = Truth()
        self._site = site
        self._today = today
        self._seed = seed
        self._work = WorkPlanter(site, Random(f"{seed}:planting"))
        self._steady = steady_teams(site.teams)
        self._deals = DealPlanter(org, today, seed)

    def uneven_team(self, wanted: UnevenTeam) -> None:
        profile = TeamProfile(wanted.name, wanted.key, 0, "noisy", len(wanted.completed), 5)
        GeneratedTeams(self._site, closing_cadence(self._today), self._today, self._seed).add(
            profile, list(wanted.completed)
        )

    def oversold(self, story: Oversold) -> None:
        team = self._team(story.team)
        safe = self._promise(team, story.safe, owed_before=0)
        until = team.cadence.last_day(story.breaks.sprint_end)
        owed = ceil(story.breaks.load * mean_capacity(team, self._today, until))
        epics = self._breaking_epics(team, story, owed - safe)
        deals = [
            self._deals.add(deal, until, keys)
            for deal, keys in zip(story.deals, _keys(story, epics), strict=True)
        ]
        self.truth.planted.append(Planted("oversold", team.name, until.isoformat(), sorted(deals)))
        self._reckon(team, until, owed)

    def late_forecast(self, story: LateForecast) -> None:
        teams = [self._named(name) for name in sorted(story.teams)]
        until = max(team.cadence.last_day(story.sprint_end) for team in teams)
        epics = [self._epic(team, story.deal, story.points) for team in teams]
        deal = self._deals.add(story.deal, until, [epic.key for epic in epics])
        names = ", ".join(team.name for team in teams)
        self.truth.planted.append(Planted("late_forecast", names, until.isoformat(), [deal]))
        for team in teams:
            self._reckon(team, until, story.points)

    def unlinked(self, story: Unlinked) -> None:
        until = self._today + timedelta(days=story.promise_in_days)
        deal = self._deals.add(story.deal, until, [])
        self.truth.planted.append(Planted("unlinked_commitment", "", until.isoformat(), [deal]))

    def healthy(self, story: Healthy) -> None:
        team = self._team(story.team)
        owed = 0
        for promise in story.promises:
            owed += self._promise(team, promise, owed_before=owed)
        self.truth.healthy_teams.append(team.name)

    def silent(self, story: Silent) -> None:
        team = self._team(story.team) if story.team else None
        cadence = (team or self._steady[0]).cadence
        until = cadence.last_day(story.sprint_end)
        keys = [self._silent_epic(team, story, until).key] if team else []
        deal = self._deals.add(story.deal, until, keys)
        self.truth.silent.append({"deal": deal, "why": story.why})

    def _promise(self, team: Team, promise: Promise, *, owed_before: int) -> int:
        """Plant one safe promise; returns the points it adds to what the team owes."""
        until = team.cadence.last_day(promise.sprint_end)
        owed = max(floor(promise.load * mean_capacity(team, self._today, until)), owed_before + 1)
        epic = self._epic(team, promise.deal, owed - owed_before)
        self._deals.add(promise.deal, until, [epic.key])
        self._reckon(team, until, owed)
        return owed - owed_before

    def _breaking_epics(self, team: Team, story: Oversold, points: int) -> list[IssueStory]:
        """One epic per deal, and last the shared one if there is any."""
        shares = [deal.share for deal in story.deals]
        titles = [deal.title for deal in story.deals]
        if story.shared_issue:
            shares.append(story.shared_issue.share)
            titles.append(
                "Groundwork: " + " and ".join(titles[n].lower() for n in story.shared_issue.between)
            )
        created = self._since(min(deal.days_in_force for deal in story.deals))
        return [
            self._work.plan(Order(team, title, part, created))
            for title, part in zip(titles, _divide(points, shares), strict=True)
        ]

    def _silent_epic(self, team: Team, story: Silent, until: date) -> IssueStory:
        points = max(floor(story.load * mean_capacity(team, self._today, until)), 1)
        order = Order(team, story.deal.title, points, self._since(story.deal.days_in_force))
        if story.resolved:
            return self._work.deliver(order, order.created + timedelta(days=30))
        return self._work.plan(order)

    def _epic(self, team: Team, deal: PlantedDeal, points: int) -> IssueStory:
        return self._work.plan(Order(team, deal.title, points, self._since(deal.days_in_force)))

    def _since(self, days: int) -> datetime:
        return datetime.combine(self._today - timedelta(days=days), time(13), UTC)

    def _reckon(self, team: Team, until: date, owed: int) -> None:
        capacity = round(mean_capacity(team, self._today, until), 1)
        self.truth.reckoning.append(Reckoning(team.name, until.isoformat(), owed, capacity))

    def _team(self, choice: TeamChoice) -> Team:
        if choice.rank > len(self._steady):
            raise ScenarioError(
                f"team rank {choice.rank} is asked for, but only {len(self._steady)} teams are steady"
            )
        return self._steady[choice.rank - 1]

    def _named(self, name: str) -> Team:
        for team in self._site.teams:
            if team.name == name:
                return team
        raise ScenarioError(f"no team is named {name!r}")


def _keys(story: Oversold, epics: list[IssueStory]) -> list[list[str]]:
    """Issue keys per deal: its own epic, and the shared one if it waits for that too."""
    keys = [[epic.key] for epic, _ in zip(epics, story.deals, strict=False)]
    for place in story.shared_issue.between if story.shared_issue else ():
        keys[place].append(epics[-1].key)
    return keys


def _divide(points: int, shares: list[int]) -> list[int]:
    """Whole parts in proportion to the shares; every part has at least one point."""
    parts = [max(points * share // sum(shares), 1) for share in shares]
    parts[0] += points - sum(parts)
    return parts
