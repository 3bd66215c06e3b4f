"""Bulk API 2.0 query jobs: a snapshot taken when the job was made, read page by page until the job is too old."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from troth_sandbox.salesforce.clock import SettableClock, stamp
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.ids import IdSource
from troth_sandbox.salesforce.soql import Result

State = Literal["UploadComplete", "InProgress", "JobComplete", "Aborted", "Failed"]
JOB_LIFE = timedelta(days=7)
JOBS_PER_DAY = 10_000
FAILURE = "Your query request was running for too long."
DELIMITERS = {
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


@dataclass(slots=True)
class Job:
    """One query job; it is done `seconds` after it was made."""

    id: str
    version: str
    operation: str
    delimiter: str
    line_ending: str
    user_id: str
    created: datetime
    seconds: float
    result: Result
    aborted: bool = False
    fails: bool = False

    def state(self, now: datetime) -> State:
        """Where the job is at `now`."""
        if self.aborted:
            return "Aborted"
        age = (now - self.created).total_seconds()
        if age >= self.seconds:
            return "Failed" if self.fails else "JobComplete"
        return "InProgress" if age > 0 else "UploadComplete"

    def as_json(self, now: datetime) -> dict[str, Any]:
        """The job as a GET shows it."""
        state = self.state(now)
        # The vendor's texts for a failed job are not documented (U).
        reason = {"errorMessage": FAILURE} if state == "Failed" else {}
        return (
            self.created_json()
            | reason
            | {
                "state": state,
                "jobType": "V2Query",
                "numberRecordsProcessed": len(self.result.rows) if state == "JobComplete" else 0,
                "retries": 0,
                "totalProcessingTime": int(self.seconds * 1000),
            }
        )

    def created_json(self) -> dict[str, Any]:
        """The job as its creation answers."""
        return {
            "id": self.id,
            "operation": self.operation,
            "object": self.result.object,
            "createdById": self.user_id,
            "createdDate": stamp(self.created),
            "systemModstamp": stamp(self.created),
            "state": "UploadComplete",
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }


class Jobs:
    """The jobs of an org, newest last; one is forgotten a week after it was made."""

    def __init__(self, clock: SettableClock) -> None:
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._ids = IdSource()
        self._created: list[datetime] = []
        self.seconds = 0.0
        """A control of the simulator: how long new jobs take."""
        self.failing = 0
        """A control: so many of the next jobs fail."""
        self.page_rows = 100_000
        """A control: the most rows of a page. A number that is asked for stays subject to limits of size [bulk-res]."""

    def __iter__(self) -> Iterator[Job]:
        self._forget()
        return iter(list(self._jobs.values()))

    def create(self, version: str, user_id: str, options: dict[str, Any], result: Result) -> Job:
        """Keep a new job. Raises ApiError over the daily number or for unknown options."""
        now = self._clock.now()
        if self.today() >= JOBS_PER_DAY:
            raise api_error("too_many_jobs", limit=JOBS_PER_DAY)
        delimiter = str(options.get("columnDelimiter", "COMMA"))
        line_ending = str(options.get("lineEnding", "LF"))
        if delimiter not in DELIMITERS or line_ending not in LINE_ENDINGS:
            raise api_error(
                "bad_json", reason=f"unknown columnDelimiter {delimiter} or lineEnding {line_ending}"
            )
        self._created.append(now)
        job = Job(
            self._ids.next("750"),
            version,
            str(options["operation"]),
            delimiter,
            line_ending,
            user_id,
            now,
            self.seconds,
            result,
            fails=self.failing > 0,
        )
        self.failing = max(0, self.failing - 1)
        self._jobs[job.id] = job
        return job

    def today(self) -> int:
        """How many jobs were made in the last 24 hours."""
        now = self._clock.now()
        self._created = [each for each in self._created if now - each < timedelta(hours=24)]
        return len(self._created)

    def find(self, job_id: str) -> Job:
        """The job of that id. Raises ApiError NOT_FOUND for none or one past its week."""
        self._forget()
        job = self._jobs.get(job_id)
        if job is None:
            raise api_error("not_found")
        return job

    def abort(self, job: Job) -> None:
        """Stop a job that is not done. Raises ApiError."""
        if job.state(self._clock.now()) == "JobComplete":
            raise api_error("job_state", state="JobComplete", wanted="Aborted")
        job.aborted = True

    def delete(self, job: Job) -> None:
        """Forget a job that is done or aborted. Raises ApiError."""
        state = job.state(self._clock.now())
        if state not in {"JobComplete", "Aborted", "Failed"}:
            raise api_error("job_state", state=state, wanted="deleted")
        del self._jobs[job.id]

    def _forget(self) -> None:
        now = self._clock.now()
        for job in [each for each in self._jobs.values() if now - each.created > JOB_LIFE]:
            del self._jobs[job.id]


def locator(start: int) -> str:
    """The opaque text for the page that starts at a row."""
    return base64.b64encode(str(start).encode()).decode().rstrip("=")


def position(text: str, rows: int) -> int:
    """The row where a locator's page starts. Raises ApiError INVALID_QUERY_LOCATOR."""
    try:
        start = int(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (ValueError, binascii.Error):
        raise api_error("unknown_locator") from None
    if not 0 <= start <= rows:
        raise api_error("unknown_locator")
    return start
