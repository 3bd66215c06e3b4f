"""From what people write on an issue to the deal's links: the simulator over HTTP, jira-sync, the engine's store."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Literal

import msgspec
import pytest
from tests.integration.jira_site import LiveSite, Play, playing
from tests.integration.jira_truth import compared, truth_of
from tests.jira_sync import small_site
from tests.jira_sync.conftest import SITE
from tests.jira_sync.simulator import settings_of, settings_with
from tests.risk_engine.company import LATER, Company, promise
from tests.risk_engine.engine import Engine, open_engine

from jira_sync.domain.places import ReferenceRules
from jira_sync.domain.record_ids import with_checksum
from jira_sync.settings import JiraSettings
from risk_engine.store.states import INGESTED
from troth_contracts.jira import Issue as PublishedIssue
from troth_contracts.topics import ISSUE_EVENTS, ISSUES
from troth_sandbox.jira import attachments
from troth_sandbox.jira.records import Issue

NOW = "2026-11-25T12:00:00Z"
URL_FIELD = "customfield_10300"
TYPES = "com.atlassian.jira.plugin.system.customfieldtypes"
DEALS = [with_checksum(f"0065g00000AbC{number:02}") for number in range(12)]
FORMS = (
    "https://acme.lightning.force.com/lightning/r/Opportunity/{}/view",
    "https://acme--uat.sandbox.my.salesforce.com/{}",
    "https://na1.salesforce.com/{}/e?retURL=%2F001",
)
Deployment = Literal["Cloud", "Server"]
Truth = dict[int, dict[str, str]]
"""Deal by place of every issue."""


def seed(deployment: Deployment) -> dict[str, Any]:
    found = small_site.seed()
    kind = {"type": "string", "custom": f"{TYPES}:url", "customId": 10300}
    fields = [*found["fields"], {"id": URL_FIELD, "name": "Deal", "custom": True, "schema": kind}]
    return found | {"fields": fields, "site": found["site"] | {"deployment": deployment}}


class People:
    """Write on issues, and remember which deal they meant."""

    def __init__(self, live: LiveSite, seed: int) -> None:
        self._live, self._rng = live, random.Random(seed)
        self._links: dict[int, int] = {}
        self.truth: Truth = {issue.id: {} for issue in live.site.store.issues()}
        self.truth[10005]["remote_link"] = ""

    def act(self) -> None:
        issue = self._rng.choice([i for i in self._live.site.store.issues() if i.id != 10005])
        deal, form = self._rng.choice(DEALS), self._rng.choice(FORMS)
        act = self._rng.choice((self._describe, self._fill, self._comment, self._link, self._unlink))
        act(issue, deal, form.format(deal))
        self._live.later(self._rng.choice((0, 0.2, 1, 7)))

    def _describe(self, issue: Issue, deal: str, url: str) -> None:
        words, meant = self._rng.choice(
            (("UTF-8 for ISO-27001, 006Implementing", ""), (f"[deal|{url}]", deal))
        )
        self._live.edit(issue, description=f"{words} v{self._live.now}")
        self.truth[issue.id]["description"] = meant

    def _fill(self, issue: Issue, deal: str, url: str) -> None:
        url, meant = self._rng.choice((("", ""), (url, deal)))
        self._live.edit(issue, **{URL_FIELD: url})
        self.truth[issue.id][f"field:{URL_FIELD}"] = meant

    def _comment(self, issue: Issue, deal: str, url: str) -> None:
        if "comment" not in self.truth[issue.id]:
            attachments.add_comment(self._live.site, issue, f"see {url}", "ann", self._live.now)
            self.truth[issue.id]["comment"] = deal

    def _link(self, issue: Issue, deal: str, url: str) -> None:
        """A second one to the same place takes the place of the first."""
        link = {"globalId": "crm", "object": {"url": url, "title": "Deal"}}
        self._links[issue.id] = attachments.add_link(self._live.site, issue, link, "ann", self._live.now)
        self.truth[issue.id]["remote_link"] = deal

    def _unlink(self, issue: Issue, _deal: str, _url: str) -> None:
        if number := self._links.pop(issue.id, None):
            attachments.remove_link(self._live.site, issue, number, "ann", self._live.now)
            self.truth[issue.id]["remote_link"] = ""


def published(play: Play) -> Truth:
    bodies = [body for body in play.kafka.latest(ISSUES).values() if isinstance(body, PublishedIssue)]
    return {int(body.id): {found.place: found.value for found in body.crm_references} for body in bodies}


def meant(truth: Truth) -> Truth:
    return {issue: {place: deal for place, deal in places.items() if deal} for issue, places in truth.items()}


def personal(url: str) -> JiraSettings:
    return settings_with(url, TROTH_JIRA_PERSONAL_ACCESS_TOKEN=small_site.AUTH["token"])


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("deployment", ["Cloud", "Server"])
async def test_what_is_published_is_what_people_meant(deployment: Deployment, number: int) -> None:
    """References by the people's own memory, events by the write log; nothing is told twice.

    On Data Center a backfill is asked for at the end: what a link alone changed can be listed nowhere there.
    """
    live = LiveSite(seed(deployment), NOW)
    people = People(live, number)
    rules = ReferenceRules(comments=True)
    login = settings_of if deployment == "Cloud" else personal
    async with playing(live, login, references=rules) as play:
        await play.sweep()
        for _ in range(6):
            for _ in range(10):
                people.act()
            await play.sweep()
        if deployment == "Server":
            await play.poller._backfill.order(())
        await play.sweep(minutes=25 * 60)
        assert published(play) == meant(people.truth)
        truth = truth_of(seed(deployment), msgspec.to_builtins(live.site.write_log.entries), moments={})
        told = [record.id for record in play.kafka.told(ISSUE_EVENTS)]
        assert not compared("event", told, truth.event_ids(SITE))
        states = Counter(record.id for record in play.kafka.told(ISSUES))
        assert set(states.values()) == {1}


async def test_an_address_on_an_issue_in_jira_becomes_a_link_of_the_deal(postgres: str) -> None:
    """Through every part but the broker; taken away again, so is the link."""
    live, it = LiveSite(seed("Cloud"), NOW), Company()
    issue = live.site.store.issue("APA-4")
    promised = it.deal(DEALS[0], custom=promise(LATER))
    async with playing(live) as play, open_engine(postgres) as engine:
        await engine.go_live()
        await engine.take([promised])
        await play.sweep()
        seen = await hand_over(play, engine, 0)
        assert await links(engine) == []

        live.edit(issue, **{URL_FIELD: FORMS[0].format(DEALS[0])})
        await play.sweep()
        seen = await hand_over(play, engine, seen)
        assert await links(engine) == [(f"{SITE}:10004", 0.9, [f"issue field:{URL_FIELD}"])]

        live.edit(issue, **{URL_FIELD: ""})
        await play.sweep()
        await hand_over(play, engine, seen)
        assert await links(engine) == []


async def hand_over(play: Play, engine: Engine, seen: int) -> int:
    """What jira-sync wrote since, to the engine; how much that is by now."""
    await engine.take([record for record in play.kafka.records[seen:] if record.topic in INGESTED])
    await engine.evaluate()
    return len(play.kafka.records)


async def links(engine: Engine) -> list[tuple[str, float, list[str]]]:
    (found,) = await engine.rows("SELECT links FROM commitments")
    return [(link["issue"], round(link["confidence"], 4), link["basis"]) for link in found[0]]
