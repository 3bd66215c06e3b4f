"""The question of a promise check, as people send it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from risk_engine.problems import ProblemError

Size = Literal["XS", "S", "M", "L", "XL"]
SIZES: dict[Size, float] = {"XS": 0.1, "S": 0.25, "M": 0.5, "L": 1.0, "XL": 2.0}
"""Text size classes, as shares of what the team usually does in a sprint."""
MOST_ISSUES = 200
Amount = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Effort(_Strict):
    """New work that is on no board yet."""

    team: str = Field(min_length=1, max_length=200, description="The board's name or <site>:<board id>")
    points: float = Field(gt=0, le=1_000_000)


class SizedWork(_Strict):
    """New work that nobody estimated: a size class of the team."""

    team: str = Field(min_length=1, max_length=200)
    size: Size


class AskedAmount(_Strict):
    """Money in its own currency."""

    amount: Amount
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Question(_Strict):
    """Can we promise this for that day? Exactly one of ``issues``, ``effort``, ``sized``; or a ``deal`` alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "date": "2027-01-29",
                    "issues": ["ATL-7", "BOR-12"],
                    "amount": {"amount": "120000", "currency": "EUR"},
                },
                {"date": "2027-01-29", "effort": {"team": "Atlas", "points": 40}},
                {"date": "2027-01-29", "sized": {"team": "Atlas", "size": "M"}},
                {"date": "2027-02-26", "deal": "00D5g000000001EAA:0065g000000001AAA", "store": True},
            ]
        }
    )

    date: date
    issues: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=MOST_ISSUES, description="Issue keys or <site>:<issue id>"
    )
    values: dict[str, Amount] = Field(
        default={},
        max_length=MOST_ISSUES,
        description="What single issues are worth; the rest shares the amount",
    )
    effort: Effort | None = None
    sized: SizedWork | None = None
    amount: AskedAmount | None = None
    deal: str | None = Field(
        default=None, max_length=200, description="Its present promise is replaced by this one in the answer"
    )
    store: bool = Field(default=False, description="Keep the answer with the deal; nothing else ever changes")


def check_question(question: Question, today: date, last: date) -> None:
    """What no single field can tell of itself. Raises ProblemError."""
    if question.date < today:
        raise ProblemError(f"{question.date} is past", field="date", fix=f"ask for {today} or a later day")
    if question.date > last:
        raise ProblemError(
            f"{question.date} is further ahead than capacity is drawn",
            field="date",
            fix=f"ask for a day up to {last}",
        )
    kinds = [name for name in ("issues", "effort", "sized") if getattr(question, name)]
    if len(kinds) > 1:
        raise ProblemError(
            f"{' and '.join(kinds)} are given", field=kinds[1], fix="give one of issues, effort and sized"
        )
    if not kinds and question.deal is None:
        raise ProblemError(
            "it is not said what is promised", field="issues", fix="name issues, effort, sized, or a deal"
        )
    if question.store and question.deal is None:
        raise ProblemError(
            "an answer is kept with a deal", field="deal", fix="name the deal, or leave store out"
        )
    if unasked := sorted(set(question.values) - set(question.issues)):
        raise ProblemError(
            f"{unasked[0]} is not among the issues", field=f"values.{unasked[0]}", fix="name it in issues too"
        )
