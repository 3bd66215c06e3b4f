"""What the first full read of a large org costs: calls, memory and time, while 500 updates a second go on.

The least number of calls that any reader of whole deals needs with bulk pages of 50,000 rows, for 200,000 deals with
three lines and a history row each, no contact roles and no team members:

* jobs: five objects, each made once and found done once: 5 x 2 = 10 (contact roles and team members have no rows);
* pages: 200,000 / 50,000 = 4 of opportunities, 600,000 / 50,000 = 12 of lines, 4 and more of history (a row more for
  each change of an amount while the jobs are being made): 20;
* what there is to read at all: the describes of the ten objects in one composite of at most 25;
* the reference tables (stages, currencies, users, products) in one composite of at most five queries;
* how far the deleted log covers each of four objects, in one composite.

So about 33 calls; the bound is 1.15 times that. The same over REST pages of 2,000 rows would be 600 calls and more.
Simulated jobs are done when first looked at; a job of T seconds is looked at after 1, 3, 7, 15, 31 s and then every
30 s, which comes on top here as with any reader that waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from simple_salesforce.api import Salesforce
from tests.bench.crm_org import Changed, Colleagues, contents
from tests.bench.crm_proof import differences
from tests.bench.crm_service import Service, crm_sync
from tests.crm_sync.simulated import CLIENT, SimulatedOrg, simulated_org

from crm_sync.describe import ACCOUNT_NAME, CONTACT_ROLE, HISTORY, LINE_ITEM, OPPORTUNITY, TEAM_MEMBER

PAGE_ROWS = 50_000
DELAY = 0.2
"""Seconds before every answer of the API."""
PATIENCE = 3_600.0
OPEN_SECONDS = 900.0
ENDLESS = 10**9
OBJECTS = (OPPORTUNITY, LINE_ITEM, CONTACT_ROLE, TEAM_MEMBER, HISTORY)
OWN_FIELDS = {OPPORTUNITY.name: (ACCOUNT_NAME, "Promised_Date__c", "Jira_Key__c")}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How large the org is, and how busy."""

    deals: int
    updates_per_second: int
    bulk_from: int = 20_000


@dataclass(frozen=True)
class Cost:
    """What one full read took. Seconds; MiB."""

    calls: int
    least_calls: int
    seconds: float
    baseline_seconds: float
    peak_memory: float
    caught_up_seconds: float
    """From the end of the updates until the topic was equal to the org."""
    differences: tuple[str, ...]
    changed: Changed

    @property
    def calls_ratio(self) -> float:
        """Calls made to the least."""
        return self.calls / self.least_calls

    @property
    def speed_ratio(self) -> float:
        """How many times faster than the baseline."""
        return self.baseline_seconds / self.seconds


def measure(folder: Path, kafka: str, size: Size, say: Say, *, delay: float = DELAY) -> Cost:
    """One org: first read by simple-salesforce alone, then by crm-sync, both while the updates go on."""
    made = contents(size.deals)
    say(f"an org of {size.deals:,} deals is being made")
    with simulated_org(folder, made, patience=OPEN_SECONDS) as org:
        if delay:
            slow = {"match": {"path": "/services/data", "times": None}, "act": {"delay": delay}}
            org.faults(slow)
        colleagues = Colleagues(org.admin, size.deals, size.updates_per_second)
        say("simple-salesforce reads it alone")
        with colleagues.at_work():
            baseline = _read_alone(org)
        say("crm-sync reads it")
        with crm_sync(org, kafka, TROTH_CRM_BULK_FROM=str(size.bulk_from)) as service:
            return _full_read(org, made, kafka, service, colleagues, baseline, say)


def _full_read(
    org: SimulatedOrg,
    made: dict[str, Any],
    kafka: str,
    service: Service,
    colleagues: Colleagues,
    baseline: float,
    say: Say,
) -> Cost:
    with colleagues.at_work():
        service.until_said("backfill begins", PATIENCE)
        began = _first_call(org)
        ended = service.until_said("backfill complete", PATIENCE)
        calls, least = _calls(org, ended), least_calls(_rows(org))
    stopped, at = time.monotonic(), _now(org)
    say("the changes are followed to their end")
    service.until_polled(at + timedelta(seconds=1), PATIENCE)
    caught_up = time.monotonic() - stopped
    peak = service.peak_memory()
    say("every deal is compared")
    return Cost(
        calls=calls,
        least_calls=least,
        seconds=(ended - began).total_seconds(),
        baseline_seconds=baseline,
        peak_memory=peak,
        caught_up_seconds=caught_up,
        differences=tuple(differences(org, made, kafka)),
        changed=colleagues.done,
    )


def least_calls(rows: dict[str, int]) -> int:
    """See the arithmetic above; ``rows`` by object."""
    jobs = 2 * len(rows)
    pages = sum(math.ceil(count / PAGE_ROWS) for count in rows.values())
    describes, references, deleted_logs = 1, 1, 1
    return jobs + pages + describes + references + deleted_logs


def _rows(org: SimulatedOrg) -> dict[str, int]:
    return {wanted.name: len(org.truth(wanted.name, ["Id"])) for wanted in OBJECTS}


def _calls(org: SimulatedOrg, until: datetime) -> int:
    """API calls of crm-sync up to then: whatever is asked with a session, a composite being one call."""
    return len([each for each in _api_journal(org) if datetime.fromisoformat(each["at"]) <= until])


def _first_call(org: SimulatedOrg) -> datetime:
    return datetime.fromisoformat(_api_journal(org)[0]["at"])


def _api_journal(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [each for each in org.journal() if each["path"].startswith("/services/data")]


def _now(org: SimulatedOrg) -> datetime:
    return datetime.fromisoformat(org.clock())


def _read_alone(org: SimulatedOrg) -> float:
    """Seconds that the library takes for the same rows and fields; its calls are forgotten afterwards."""
    session = requests.Session()
    session.verify, session.trust_env = str(org.ca), False
    form = {"grant_type": "client_credentials", **CLIENT}
    token = session.post(f"{org.url}/services/oauth2/token", data=form, timeout=60).json()["access_token"]
    client = Salesforce(session_id=token, instance_url=org.url, session=session, version="66.0")
    began = time.monotonic()
    for wanted in OBJECTS:
        fields = ", ".join((*wanted.fields, *wanted.silent, *OWN_FIELDS.get(wanted.name, ())))
        for _row in client.query_all_iter(f"SELECT {fields} FROM {wanted.name}", include_deleted=True):
            pass
    seconds = time.monotonic() - began
    session.close()
    org.forget_journal()
    return seconds
