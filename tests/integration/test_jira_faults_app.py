"""An OAuth app with the whole service on Kafka: the points of an hour, and a consent that is taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from pydantic import SecretStr
from tests.integration.jira_play import DAY, HOUR, Life, Play, opened
from tests.integration.test_jira_faults_site import FIRST, MINUTE
from tests.integration.test_jira_sync_dialects import APP

from jira_sync import census
from jira_sync.errors import ConsentLostError
from jira_sync.opening import open_reader
from jira_sync.points import SOFT, TIER_1
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import ISSUES, SYNC_STATUS
from troth_sandbox.jira import sample
from troth_sandbox.jira.tokens import Tokens

NEW_CONSENT = "refresh-token-of-a-new-consent"


class AppPlay(Play):
    """The service logs in as an app, through the vendor's gateway."""

    def __init__(self, kafka: str, issues: int, folder: Path) -> None:
        seed = sample.seed(issues)
        seed["auth"] = {**seed["auth"], "app": APP}
        super().__init__(kafka, seed | {"site": {"title": "App", "cloud_id": "cloud-1"}})
        self._folder = folder

    async def open(self, url: str, **settings: Any) -> None:
        login = {
            "jira_url": f"{url}/ex/jira/cloud-1",
            "jira_email": "",
            "jira_api_token": None,
            "jira_oauth_client_id": APP["client_id"],
            "jira_oauth_client_secret": SecretStr(APP["client_secret"]),
            "jira_oauth_refresh_token": SecretStr(APP["refresh_token"]),
            "jira_oauth_token_path": self._folder / "token",
            "jira_oauth_url": f"{url}/oauth/token",
        }
        await super().open(url, **{**login, **settings})

    def consent_is_given(self) -> None:
        """A person consents again, which gives the app a first refresh token."""
        self.site.tokens = Tokens(NEW_CONSENT)
        self.settings = self.settings.model_copy(update={"jira_oauth_refresh_token": SecretStr(NEW_CONSENT)})

    async def statuses(self) -> list[SyncStatus]:
        await self.topics.refresh()
        found = [
            r.value for r in self.topics._kept[SYNC_STATUS.name] if self.site_id.encode() in (r.key or b"")
        ]
        return [msgspec.json.decode(value, type=SyncStatus) for value in found if value]


def is_well(life: Life) -> bool:
    return life.health.checks["jira"].ok


async def test_t18_a_consent_taken_back_is_one_sentence_until_there_is_another(
    kafka: str, tmp_path: Path
) -> None:
    """Paused, not ended, and Jira is left alone; a start with a new consent tells what happened meanwhile."""
    play = AppPlay(kafka, 40, tmp_path)
    async with opened(play) as reader:
        life = play.start(reader)
        await play.until(3 * MINUTE)
        assert is_well(life)
        play.site.tokens.revoke()
        play.edit(FIRST, status={"id": "3"})
        asked = len(play.asked())
        await play.passes(2 * HOUR, resting=False)
        assert not life.task.done()
        assert {type(failure) for failure in life.failures} == {ConsentLostError}
        assert len({str(failure) for failure in life.failures}) == 1
        assert len(play.asked("/oauth/token")) == 2, "the first and the one that was refused"
        assert len(play.asked()) - asked <= 3, "whoever was refused asks no more"
        last = (await play.statuses())[-1]
        assert (last.state, last.reason) == ("paused", str(life.failures[0]))
        assert "start with the new TROTH_JIRA_OAUTH_REFRESH_TOKEN" in str(last.reason)
        assert not is_well(life)
        await life.stop()
        play.consent_is_given()
        async with open_reader(play.settings, play.clock) as again:
            life = play.start(again)
            await play.passes(5 * MINUTE)
            await play.exact()
            assert not life.failures
            assert is_well(life)
            assert (await play.statuses())[-1].state == "complete"
            await life.stop()


async def test_a_census_dearer_than_what_is_left_of_an_hour_ends_in_the_next(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every object costs a point: a site larger than the soft limit allows is listed over several hours."""
    play = AppPlay(kafka, 200, tmp_path)
    monkeypatch.setattr(census, "PAGE", 20)
    rarely = {"jira_poll_seconds": 1_800.0, "jira_structure_seconds": DAY, "jira_deep_seconds": 2 * DAY}
    async with opened(play, jira_overlap_seconds=2_400, jira_census_seconds=DAY, **rarely) as reader:
        life = play.start(reader)
        await play.until(2 * HOUR)
        await play.exact()
        for issue in range(FIRST, FIRST + 5):
            play.site.store.hide(issue, hidden=True)
        play.site.index.forget_results()

        def nearly_spent() -> None:
            """Other work of the app leaves the census a hundred points of this hour."""
            reader.spend(int(SOFT * TIER_1) - 100)  # type: ignore[attr-defined]

        for hour in range(24, 34):
            play.clock.at(hour * HOUR + 10, nearly_spent)
        before = len(_census_pages(play))
        await play.until(34 * HOUR)
        assert not life.failures
        pages = _census_pages(play)[before:]
        assert len(pages) == len(set(pages)) == 11, "none was listed twice"
        assert await play.published_ids(ISSUES) == {str(FIRST + number) for number in range(5, 200)}


def _census_pages(play: Play) -> list[str]:
    """Which lists of ids were asked for, page by page."""
    asked = [parse_qs(urlsplit(entry["path"]).query) for entry in play.asked("search/jql")]
    wanted = [query for query in asked if query.get("fields") == ["id"] and "project in" in query["jql"][0]]
    return [f"{query['jql'][0]} {query.get('nextPageToken', [''])[0]}" for query in wanted]
