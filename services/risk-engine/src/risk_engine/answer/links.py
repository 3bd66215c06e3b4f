"""Why deals and issues are linked, what is suggested, and what people say of it: asked once, remembered for good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from risk_engine.answer.named import read_named
from risk_engine.domain.fields import FieldScore, standing_of
from risk_engine.domain.links import BELIEVED
from risk_engine.problems import ProblemError
from risk_engine.store.database import Connection, Database
from risk_engine.store.link_lists import count_deals, exists, list_links, list_products, read_deals_selling
from risk_engine.store.links import Said, add_answer, read_answers
from risk_engine.store.marks import add_marks, share_join_lock
from risk_engine.store.signs import read_deals_with, read_scores
from troth_chassis.clock import Clock


class LinkAnswerBody(BaseModel):
    """An answer to a suggestion: ``kind``, ``subject`` and ``target`` as the suggestion tells them.

    A link that nothing suggests is declared the same way: ``subject`` the deal, ``target`` the issue or its key.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "kind": "field",
                    "subject": "00D5g000000001EAA",
                    "target": "field Delivery_Reference__c",
                    "by": "Ada",
                },
                {
                    "kind": "product",
                    "subject": "00D5g000000001EAA:Ledger",
                    "target": "version acme:10001",
                    "by": "Ada",
                },
                {
                    "kind": "link",
                    "subject": "00D5g000000001EAA:0065g000000001AAA",
                    "target": "ATL-7",
                    "by": "Ada",
                },
            ]
        },
    )
    kind: Literal["field", "product", "link"]
    subject: str = Field(min_length=1, max_length=300)
    target: str = Field(min_length=1, max_length=300)
    by: str = Field(default="", max_length=200, description="Who says so; empty: the name of the token")
    note: str = Field(default="", max_length=2_000)


class LinkDesk:
    """Shows links and takes answers. ``on_answer`` is called after one was kept."""

    def __init__(self, database: Database, *, clock: Clock, on_answer: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._on_answer = on_answer

    async def links(
        self, deal: str | None, issue: str | None, *, believed: bool | None, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        """Links with their confidence and basis; only those (not) believed, where asked."""
        async with self._database.transaction() as connection:
            return await list_links(
                connection,
                deal=deal,
                issue=issue,
                at_least=BELIEVED if believed else 0.0,
                below=BELIEVED if believed is False else 2.0,
                limit=limit,
                offset=offset,
            )

    async def fields(self) -> list[dict[str, Any]]:
        """Every field that something like a key was ever found in, best first, with its rates and standing."""
        async with self._database.transaction() as connection:
            return await _fields(connection)

    async def suggestions(self, limit: int, offset: int) -> dict[str, list[dict[str, Any]]]:
        """What waits for an answer: fields that may hold keys, products that may be versions, unsure links.

        Each carries the answer's ``kind``, ``subject`` and ``target``, and its conflict, where there is one.
        """
        async with self._database.transaction() as connection:
            fields = [one for one in await _fields(connection) if one["standing"] == "candidate"]
            products = await _products(connection)
            links = await list_links(connection, below=BELIEVED, limit=limit, offset=offset)
        return {
            "fields": fields,
            "products": products,
            "links": [
                {"kind": "link", "subject": one["deal"], "target": one["issue"], **one} for one in links
            ],
        }

    async def answer(self, said: Said, body: LinkAnswerBody, who: str) -> dict[str, Any]:
        """Keeps the answer and has everything it touches evaluated anew."""
        async with self._database.transaction() as connection:
            await share_join_lock(connection)
            target = await _target(connection, body)
            touched = await _touched(connection, body)
            await add_answer(
                connection,
                body.kind,
                body.subject,
                target,
                answer=said,
                by=body.by or who,
                note=body.note,
                at=self._clock.now(),
            )
            await add_marks(connection, "link", touched)
        self._on_answer()
        return {
            "kind": body.kind,
            "subject": body.subject,
            "target": target,
            "answer": said,
            "deals": len(touched),
        }


async def _fields(connection: Connection) -> list[dict[str, Any]]:
    deals = await count_deals(connection)
    answers = {(one.subject, one.target): one for one in await read_answers(connection, "field", deals)}
    scores = await read_scores(connection, deals)
    told = []
    for org, place in sorted(scores.keys() | answers.keys()):
        score, said = scores.get((org, place), FieldScore()), answers.get((org, place))
        if score.keyed or said:
            told.append(
                {
                    "kind": "field",
                    "subject": org,
                    "target": place,
                    "standing": standing_of(place, score, said.answer if said else None),
                    "fill_rate": round(score.filled / deals[org], 4),
                    "hit_rate": round(score.hit_rate, 4),
                    "values": score.filled,
                    "hits": score.hits,
                    "answered_by": said.by if said else None,
                }
            )
    return sorted(told, key=lambda one: (-float(str(one["hit_rate"])), str(one["target"])))


async def _products(connection: Connection) -> list[dict[str, Any]]:
    rows = await list_products(connection)
    subjects = {f"{row['org']}:{row['product']}" for row in rows}
    answered: dict[str, set[str]] = defaultdict(set)
    for said in await read_answers(connection, "product", subjects):
        answered[said.subject].add("" if said.answer == "confirmed" else said.target)
    waiting = []
    for row in rows:
        subject = f"{row['org']}:{row['product']}"
        if "" not in answered[subject] and row["target"] not in answered[subject]:
            same = [
                other["target"]
                for other in rows
                if (other["org"], other["product"]) == (row["org"], row["product"])
            ]
            waiting.append(
                {
                    "kind": "product",
                    "subject": subject,
                    "target": row["target"],
                    "name": row["name"],
                    "deals": row["deals"],
                    "conflict": ", ".join(key for key in same if key != row["target"]),
                }
            )
    return waiting


async def _target(connection: Connection, body: LinkAnswerBody) -> str:
    """The target as it is kept; ProblemError when subject or target is not known."""
    if body.kind == "field":
        if body.subject not in await count_deals(connection):
            raise _unknown("subject", body.subject, "the org's id")
        return body.target
    if body.kind == "product":
        table = {"version": "versions", "epic": "issues"}.get(body.target.partition(" ")[0], "")
        if not table or not await exists(connection, table, body.target.partition(" ")[2]):
            raise _unknown("target", body.target, "version <site>:<id> or epic <site>:<id>")
        return body.target
    if not await exists(connection, "deals", body.subject):
        raise _unknown("subject", body.subject, "the deal: <org>:<opportunity id>")
    return (await read_named(connection, [body.target])).issue(body.target, "target", status=404)


async def _touched(connection: Connection, body: LinkAnswerBody) -> list[str]:
    if body.kind == "field":
        return await read_deals_with(connection, body.subject, [body.target])
    if body.kind == "product":
        org, _, product = body.subject.partition(":")
        return await read_deals_selling(connection, org, product)
    return [body.subject]


def _unknown(field: str, value: str, form: str) -> ProblemError:
    return ProblemError(f"nothing is known of {value}", field=field, fix=f"give {form}", status=404)
