"""The promise check, why a promise slips, and links, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query

from risk_engine.answer.desk import PromiseDesk
from risk_engine.answer.links import LinkAnswerBody, LinkDesk
from risk_engine.answer.question import Question
from risk_engine.answer.slip import SlipDesk
from risk_engine.serve.route import PROBLEMS, Asking
from risk_engine.serve.tables import CSV
from risk_engine.store.answers import read_answers
from risk_engine.store.database import Database

Page = Annotated[int, Query(ge=1, le=1_000)]
Start = Annotated[int, Query(ge=0)]


def add_promise_routes(app: FastAPI, database: Database, desk: PromiseDesk) -> None:
    """Adds ``POST /promise-check`` and the answers kept with a deal."""
    problems: Any = PROBLEMS

    @app.post("/promise-check", responses=problems)
    async def promise_check(question: Question) -> dict[str, Any]:
        """Can we promise this for that day? Nothing changes, unless the answer is to be kept with a deal."""
        return await desk.answer(question)

    @app.get("/deals/{deal_key}/promise-checks", responses=CSV | problems)
    async def promise_checks(deal_key: str) -> list[dict[str, Any]]:
        """Answers that were kept with the deal, newest first."""
        async with database.transaction() as connection:
            return await read_answers(connection, deal_key)


def add_slip_routes(app: FastAPI, desk: SlipDesk) -> None:
    """Adds ``GET /deals/{key}/slip``."""
    problems: Any = PROBLEMS

    @app.get("/deals/{deal_key}/slip", responses=problems)
    async def slip(deal_key: str) -> dict[str, Any]:
        """How many days late the deal is or will probably be, split by cause; the parts sum to the delay."""
        return await desk.answer(deal_key)


def add_link_routes(app: FastAPI, desk: LinkDesk) -> None:
    """Adds ``/links``: why deals and issues are linked, what is suggested, and the answers to that."""
    problems: Any = PROBLEMS

    @app.get("/links", responses=CSV | problems)
    async def links(
        deal: str | None = None,
        issue: str | None = None,
        believed: bool | None = None,
        limit: Page = 100,
        offset: Start = 0,
    ) -> list[dict[str, Any]]:
        """Links and suggestions with confidence and basis; ``issue`` is ``<site>:<id>`` or an issue key."""
        return await desk.links(deal, issue, believed=believed, limit=limit, offset=offset)

    @app.get("/links/fields", responses=CSV | problems)
    async def link_fields() -> list[dict[str, Any]]:
        """Fields in which keys were found: fill rate, hit rate, and what each is taken for."""
        return await desk.fields()

    @app.get("/links/suggestions", responses=problems)
    async def link_suggestions(limit: Page = 100, offset: Start = 0) -> dict[str, list[dict[str, Any]]]:
        """What waits for an answer: fields, products, links; conflicts are told."""
        return await desk.suggestions(limit, offset)

    @app.post("/links/confirm", responses=problems)
    async def confirm(body: LinkAnswerBody, caller: Asking) -> dict[str, Any]:
        """Says that it is so: a field holds keys, a product is that version, a deal needs that issue."""
        return await desk.answer("confirmed", body, caller.name)

    @app.post("/links/reject", responses=problems)
    async def reject(body: LinkAnswerBody, caller: Asking) -> dict[str, Any]:
        """Says that it is not so; it is never suggested again."""
        return await desk.answer("rejected", body, caller.name)

    @app.post("/links/reopen", responses=problems)
    async def reopen(body: LinkAnswerBody, caller: Asking) -> dict[str, Any]:
        """Takes an earlier answer back."""
        return await desk.answer("open", body, caller.name)
