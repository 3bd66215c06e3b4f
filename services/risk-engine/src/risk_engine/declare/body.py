"""What people send to declare, change or import a promise."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from risk_engine.answer.question import AskedAmount
from risk_engine.domain.ledger import Need

Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$")]
"""Without control characters, which no database takes and nobody means."""
Title = Annotated[Text, Field(max_length=200)]
Name = Annotated[Text, Field(max_length=200)]
Evidence = Annotated[Text, Field(max_length=2_000)]
IssueName = Annotated[Text, Field(min_length=1, max_length=100)]
MOST_ISSUES = 200
_PROMISE: dict[str, Any] = {
    "deal": "00D5g000000001EAA:0065g000000001AAA",
    "deliverable": "Single sign-on",
    "promised_date": "2027-01-29",
    "need": "blocker",
    "issues": ["ATL-7", "BOR-12"],
    "evidence": "Minutes of 3 November, item 4",
    "declared_by": "Ada Lovelace",
    "amount": {"amount": "120000", "currency": "EUR"},
}


class Promise(BaseModel):
    """A deal's deliverable is promised for a day. A deal and a deliverable name one commitment, whatever its day."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [_PROMISE]})

    deal: str = Field(min_length=1, max_length=200, description="<org>:<opportunity id>")
    promised_date: date
    deliverable: Title = Field(default="", description="What is promised; empty: the whole deal")
    need: Need = "strong"
    issues: tuple[IssueName, ...] = Field(
        default=(),
        max_length=MOST_ISSUES,
        description="Issue keys or <site>:<issue id>; none: all of the deal's issues deliver it",
    )
    evidence: Evidence = Field(default="", description="Where it was said: a link, minutes, a mail's subject")
    declared_by: Name = Field(default="", description="Who promised it; empty: the name of the token")
    amount: AskedAmount | None = Field(default=None, description="What this part of the deal is worth")


class PromiseChange(BaseModel):
    """What is different from now on; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"promised_date": "2027-02-26", "evidence": "Call of 9 November"}]},
    )

    promised_date: date | None = None
    need: Need | None = None
    issues: tuple[IssueName, ...] | None = Field(default=None, max_length=MOST_ISSUES)
    evidence: Evidence | None = None
    declared_by: Name | None = None
    amount: AskedAmount | None = None
