"""What every evaluation is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

from risk_engine.domain.calendar import IsWorkingDay, day_of
from risk_engine.domain.commitments import DEFAULT_POLICY, CommitPolicy
from risk_engine.domain.registry import Registry


@dataclass(frozen=True, slots=True)
class Terms:
    """What every evaluation is told: the moment, the calendar, the number of trials."""

    now: datetime
    zone: tzinfo
    is_working_day: IsWorkingDay
    trials: int
    registry: Registry = field(default_factory=Registry)
    deal_share: float = 1.0
    """What part of a team's capacity may serve deals, where the registry does not say."""
    policy: CommitPolicy = DEFAULT_POLICY
    currency: str = ""
    """ISO 4217 code that sums are told in; empty: the corporate currency of the CRM."""

    @property
    def today(self) -> date:
        """The day of ``now`` in the configured zone."""
        return day_of(self.now, self.zone)
