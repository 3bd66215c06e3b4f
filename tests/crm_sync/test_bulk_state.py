"""What a bulk job's state says, and what it does not say."""

from __future__ import annotations

import pytest

from crm_sync.bulk import read_state
from crm_sync.salesforce import JobState


@pytest.mark.parametrize(
    "told", [{"state": "JobComplete"}, {"state": "JobComplete", "numberRecordsProcessed": None}]
)
def test_a_done_job_that_tells_no_count_is_not_taken_for_empty(told: dict[str, object]) -> None:
    """Its page tells; to skip it would leave out every deal."""
    assert read_state(told) == JobState(done=True, rows=None)


def test_a_done_job_without_rows_is_empty() -> None:
    assert read_state({"state": "JobComplete", "numberRecordsProcessed": 0}) == JobState(done=True, rows=0)
