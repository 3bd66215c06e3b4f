"""CRM references on issues: where they are found, when links outside Jira are read, and that a change is told."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW, MemorySite
from tests.jira_sync.small_site import DEAL_URL

from jira_sync.domain.fields import MOST_TEXTS, discover
from jira_sync.domain.places import ReferenceRules
from jira_sync.errors import ForbiddenError, JiraUnavailableError, ScanFailedError
from jira_sync.link_backlog import TOGETHER
from jira_sync.reader import TokenPage
from troth_contracts.jira import CrmReference, Issue
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import ISSUE_EVENTS, ISSUES, SPRINTS, SYNC_STATUS

ISSUE = "10004"
"""Of the small site, without a history."""
DEAL, OTHER = "0065g00000ABCDEAA5", "006000000000002AAA"
OTHER_URL = f"https://acme.my.salesforce.com/{OTHER}"
URL_FIELD, TEXT_FIELD = "customfield_10300", "customfield_10301"
_TYPES = "com.atlassian.jira.plugin.system.customfieldtypes"
LINK_READ = f"issue/{ISSUE}/remotelink"


def field(field_id: str, name: str, kind: str, base: str = "string") -> dict[str, Any]:
    return {
        "id": field_id,
        "name": name,
        "custom": True,
        "schema": {"type": base, "custom": f"{_TYPES}:{kind}"},
    }


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.site.seed["fields"] += [
        field(TEXT_FIELD, "Customer", "textfield"),
        field(URL_FIELD, "Deal", "url"),
        field("customfield_10302", "Region", "select", "option"),
    ]
    return stage


def references(stage: Stage, issue_id: str = ISSUE) -> list[tuple[str, str]]:
    body = stage.kafka.latest(ISSUES)[f"{SITE}:{issue_id}"]
    assert isinstance(body, Issue)
    return [(found.place, found.value) for found in body.crm_references]


def told(stage: Stage, issue_id: str = ISSUE) -> int:
    return sum(record.key == f"{SITE}:{issue_id}" for record in stage.kafka.told(ISSUES))


def link(
    stage: Stage, url: str | None = DEAL_URL, *, before: str | None = None, field: str = "RemoteIssueLink"
) -> None:
    """Makes, changes or removes the issue's link 71; ``updated`` stays."""
    issue = stage.site.issue(ISSUE)
    updated = issue["fields"]["updated"]
    ends = {"from": before, "to": "71" if url else None}
    texts = {
        f"{end}String": f'This issue links to "{number}"' if number else None for end, number in ends.items()
    }
    stage.site.change(ISSUE, NOW, {"field": field, "fieldtype": "jira"} | ends | texts)
    issue["fields"]["updated"] = updated
    issue["remote_links"] = [{"id": 71, "object": {"url": url, "title": "Big deal"}}] if url else []


def touch(stage: Stage) -> None:
    stage.site.change(ISSUE, stage.site.now)


async def test_every_place_is_searched_and_named(stage: Stage) -> None:
    link(stage)
    stage.site.issue(ISSUE)["fields"] |= {
        "summary": f"Scope of {DEAL}",
        "description": f"For [the deal|{OTHER_URL}].",
        URL_FIELD: DEAL_URL,
        TEXT_FIELD: "Acme, see https://acme.example/006",
        "customfield_10302": {"value": DEAL},
    }
    await stage.scan()
    body = stage.kafka.latest(ISSUES)[f"{SITE}:{ISSUE}"]
    assert isinstance(body, Issue)
    assert body.crm_references == (
        CrmReference(place="description", value=OTHER, kind="record_url", text=OTHER_URL),
        CrmReference(
            place=f"field:{URL_FIELD}",
            value=DEAL,
            kind="record_url",
            text=DEAL_URL.removesuffix("/view"),
            place_name="Deal",
        ),
        CrmReference(
            place="remote_link",
            value=DEAL,
            kind="record_url",
            text=DEAL_URL.removesuffix("/view"),
            place_name="Big deal",
        ),
        CrmReference(place="summary", value=DEAL, kind="record_id", text=DEAL),
    )


async def test_an_adf_document_is_read_with_the_addresses_behind_its_links_and_cards(stage: Stage) -> None:
    """The rich text of version 3 shows a title only."""
    marked = {"type": "text", "text": "the deal", "marks": [{"type": "link", "attrs": {"href": DEAL_URL}}]}
    card = {"type": "inlineCard", "attrs": {"url": OTHER_URL}}
    stage.site.issue(ISSUE)["fields"]["description"] = {
        "type": "doc",
        "content": [{"type": "paragraph", "content": [marked, card, {"type": "text", "text": " UTF-8"}]}],
    }
    await stage.scan()
    assert references(stage) == [("description", OTHER), ("description", DEAL)]


async def test_comments_are_searched_only_when_switched_on(stage: Stage) -> None:
    def comment(number: int, body: str) -> dict[str, Any]:
        return {"id": number, "body": body}

    every = [comment(n, "no news") for n in range(60)] + [comment(61, f"won: {DEAL_URL}")]
    stage.site.issue(ISSUE)["comments"] = every
    stage.site.issue(ISSUE)["fields"]["comment"] = {"comments": every[:20], "total": len(every), "startAt": 0}
    await stage.scan()
    assert references(stage) == []

    stage.references = ReferenceRules(comments=True)
    stage.start()
    await stage.later(60)
    await stage.scan()
    assert references(stage) == [("comment", DEAL)], "found on a later page, after reading everything again"


async def test_a_configured_pattern_finds_a_deals_own_number(stage: Stage) -> None:
    stage.references = ReferenceRules(pattern=re.compile(r"\bDEAL-\d+\b"))
    stage.start()
    stage.site.issue(ISSUE)["fields"]["summary"] = "DEAL-7, UTF-8"
    await stage.scan()
    assert references(stage) == [("summary", "DEAL-7")]


async def test_links_are_read_only_of_issues_whose_changelog_speaks_of_one(stage: Stage) -> None:
    """Another issue has a link that no entry speaks of; asking every issue would cost a request for each."""
    link(stage)
    await stage.scan()
    assert [path for path in stage.site.asked if path.endswith("remotelink")] == [LINK_READ]
    assert references(stage) == [("remote_link", DEAL)]


@pytest.mark.parametrize("field", ["RemoteIssueLink", "RemoteWorkItemLink", "remoteissuelink"])
async def test_a_link_made_later_is_told_with_the_next_change_of_the_issue(stage: Stage, field: str) -> None:
    await stage.scan()
    link(stage, field=field)
    touch(stage)
    await stage.later(60)
    await stage.scan()
    assert references(stage) == [("remote_link", DEAL)]
    assert told(stage) == 2
    assert len(stage.kafka.told(ISSUE_EVENTS)) == 9, "a link is no planning change"


async def test_links_that_did_not_change_are_not_read_again(stage: Stage) -> None:
    link(stage)
    touch(stage)
    await stage.scan()
    for _ in range(3):
        await stage.later(60)
        await stage.scan()
    stage.start()
    await stage.scan()
    assert stage.site.asked.count(LINK_READ) == 1, "also after a start: what was read stands on Kafka"
    assert references(stage) == [("remote_link", DEAL)]
    assert told(stage) == 2, "by the backfill, and with what its links say"


async def test_a_changed_and_a_removed_link_are_told(stage: Stage) -> None:
    link(stage)
    await stage.scan()
    for url, expected in ((OTHER_URL, [("remote_link", OTHER)]), (None, [])):
        link(stage, url, before="71")
        touch(stage)
        await stage.later(60)
        await stage.scan()
        assert references(stage) == expected
    assert stage.site.asked.count(LINK_READ) == 2, "without any left there is nothing to ask"
    assert told(stage) == 4


async def test_a_link_made_while_nothing_else_changed_is_found_by_the_daily_census(stage: Stage) -> None:
    """It moves no ``updated`` and no webhook tells it: no poll can show it."""
    await stage.scan()
    link(stage)
    for _ in range(2):
        await stage.later(3_600)
        await stage.scan()
    assert references(stage) == []
    await stage.later(86_400)
    await stage.scan()
    assert references(stage) == [("remote_link", DEAL)]


async def test_the_census_reads_no_issue_again_whose_links_stand(stage: Stage) -> None:
    link(stage)
    await stage.scan()
    for _ in range(2):
        await stage.later(86_400)
        stage.start()
        await stage.scan()
    assert stage.site.asked.count(LINK_READ) == 1


async def test_without_bulk_changelogs_the_census_leaves_links_alone(stage: Stage) -> None:
    """On Data Center every changelog would be a request."""
    stage.site.bulk_changelogs = False
    await stage.scan()
    link(stage)
    await stage.later(86_400)
    await stage.scan()
    assert references(stage) == []


async def test_links_that_cannot_be_read_leave_what_was_found_and_are_named(stage: Stage) -> None:
    link(stage)
    await stage.scan()

    def refuse(name: str) -> None:
        if name == LINK_READ:
            raise ForbiddenError(f"{name}: Jira answered 403")

    stage.site.before = refuse
    link(stage, OTHER_URL, before="71")
    touch(stage)
    await stage.later(60)
    await stage.scan()
    assert references(stage) == [("remote_link", DEAL)]
    assert "links or comments of 1 issue" in stage.health.checks["jira"].detail
    assert stage.registry.get_sample_value("jira_sync_quarantined", {"kind": "links"}) == 1

    stage.site.before = lambda _name: None
    await stage.later(60)
    await stage.scan()
    assert references(stage) == [("remote_link", OTHER)]
    assert stage.registry.get_sample_value("jira_sync_quarantined", {"kind": "links"}) == 0


async def test_every_asks_each_issue_once_per_change_and_none_asks_nobody(stage: Stage) -> None:
    """For connectors whose links leave no entry in a changelog."""
    stage.references = ReferenceRules(links="every")
    stage.start()
    for _ in range(2):
        await stage.scan()
        await stage.later(60)
    assert sum(path.endswith("remotelink") for path in stage.site.asked) == 7
    assert references(stage, "10005") == [("remote_link", DEAL)]

    stage.references = ReferenceRules(links="none")
    stage.start()
    await stage.scan()
    assert references(stage, "10005") == []
    assert sum(path.endswith("remotelink") for path in stage.site.asked) == 7


async def test_other_rules_read_every_project_again(stage: Stage) -> None:
    stage.site.issue(ISSUE)["fields"]["summary"] = "for DEAL-7"
    await stage.scan()
    await stage.later(timedelta(days=2).total_seconds())
    stage.references = ReferenceRules(pattern=re.compile(r"DEAL-\d+"))
    stage.start()
    await stage.scan(2)
    assert references(stage) == [("summary", "DEAL-7")]


def test_text_fields_are_found_by_their_schema_addresses_first_and_the_surplus_is_known() -> None:
    many = [field(f"customfield_{n}", f"Text {n}", "textarea") for n in range(20_000, 20_000 + MOST_TEXTS)]
    found = discover(
        [*many, field(URL_FIELD, "Deal", "url"), field("customfield_9", "Points", "float", "number")]
    )
    assert next(iter(found.texts.items())) == (URL_FIELD, "Deal")
    assert len(found.texts) == MOST_TEXTS
    assert found.texts_beyond == (f"customfield_{20_000 + MOST_TEXTS - 1}",)
    assert "comment" not in found.requested()


async def test_text_fields_that_are_too_many_are_counted_and_shown(stage: Stage) -> None:
    many = [field(f"customfield_{n}", f"Text {n}", "textarea") for n in range(20_000, 20_000 + MOST_TEXTS)]
    stage.site.seed["fields"] += many
    await stage.scan()
    labels = {"kind": "text field", "rule": "too many"}
    assert stage.registry.get_sample_value("jira_sync_left_out", labels) == 2
    assert "2 text fields (too many)" in stage.health.checks["jira"].detail


def linked(stage: Stage, count: int) -> list[str]:
    """More issues of APA, each with a link to the deal that its changelog speaks of."""
    made = []
    for number in range(20_001, 20_001 + count):
        number_text = str(number)
        copied = copy.deepcopy(stage.site.issue(ISSUE)) | {"id": number_text, "key": f"APA-{number}"}
        stage.site.seed["issues"].append(copied)
        item = {"field": "RemoteIssueLink", "from": None, "to": "71", "toString": "Deal"}
        copied["remote_links"] = [{"id": 71, "object": {"url": DEAL_URL}}]
        stage.site.change(number_text, NOW, item)
        made.append(number_text)
    return made


def states(stage: Stage) -> list[str]:
    bodies = [record.body for record in stage.kafka.told(SYNC_STATUS)]
    return [body.state for body in bodies if isinstance(body, SyncStatus)]


async def test_a_backfill_asks_for_no_links_and_they_follow_between_polls(stage: Stage) -> None:
    """Newest issues first, ``TOGETHER`` at a time, each once; only then is the site told complete."""
    made = linked(stage, 60)
    sprints_told: list[int] = []

    def note(name: str) -> None:
        if name.endswith("remotelink"):
            sprints_told.append(len(stage.kafka.told(SPRINTS)))

    stage.site.before = note
    await stage.scan()
    assert min(sprints_told) > 0, "the scan was over"
    assert link_reads(stage) == [f"issue/{n}/remotelink" for n in _batches(made)]
    assert all(references(stage, number) == [("remote_link", DEAL)] for number in made)
    assert states(stage)[-1] == "backfilling"
    await stage.later(60)
    await stage.scan()
    assert states(stage)[-1] == "complete"
    assert len(link_reads(stage)) == 60


def _batches(made: list[str]) -> list[str]:
    newest = sorted(made, key=int, reverse=True)
    return [n for start in range(0, len(newest), TOGETHER) for n in sorted(newest[start : start + TOGETHER])]


def link_reads(stage: Stage) -> list[str]:
    return [path for path in stage.site.asked if path.endswith("remotelink")]


async def test_links_left_by_a_backfill_are_read_after_a_restart(stage: Stage) -> None:
    """The issue itself says that they are pending."""
    link(stage)
    stage.site.bulk_changelogs = False

    def down(name: str) -> None:
        if name == LINK_READ:
            raise JiraUnavailableError("down")

    stage.site.before = down
    with pytest.raises(JiraUnavailableError):
        await stage.scan()
    body = stage.kafka.latest(ISSUES)[f"{SITE}:{ISSUE}"]
    assert isinstance(body, Issue)
    assert (body.remote_links_pending, body.crm_references) == (True, ())

    stage.site.before = lambda _name: None
    stage.start()
    await stage.scan()
    assert references(stage) == [("remote_link", DEAL)]
    body = stage.kafka.latest(ISSUES)[f"{SITE}:{ISSUE}"]
    assert isinstance(body, Issue)
    assert not body.remote_links_pending


class Refusing(MemorySite):
    """An issue goes before its links are read."""

    async def search(
        self, jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        if jql.startswith("id in"):
            self.seed["issues"] = [issue for issue in self.seed["issues"] if issue["id"] != "20002"]
            raise ScanFailedError("search/jql: Jira answered 400")
        return await super().search(jql, fields, token, size, reconcile)


async def test_an_issue_that_goes_while_its_links_wait_does_not_hold_up_the_others(stage: Stage) -> None:
    """A search for ids that names one that is not there is refused as a whole."""
    link(stage)
    made = linked(stage, 3)

    stage.site = Refusing(stage.site.seed)
    stage.start()
    await stage.scan()
    assert all(references(stage, number) == [("remote_link", DEAL)] for number in (made[0], made[2], ISSUE))
