"""The promise check, and why a promise slips, over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from risk_engine.answer.desk import PromiseDesk
from risk_engine.answer.question import Question
from risk_engine.answer.slip import SlipDesk
from risk_engine.store.answers import read_answers
from risk_engine.store.database import Database


def add_promise_routes(app: FastAPI, database: Database, desk: PromiseDesk) -> None:
    """Adds ``POST /promise-check`` and the answers kept with a deal."""

    @app.post("/promise-check")
    async def promise_check(question: Question) -> dict[str, Any]:
        """Can we promise this for that day? Nothing changes, unless the answer is to be kept with a deal."""
        return await desk.answer(question)

    @app.get("/deals/{deal_key}/promise-checks")
    async def promise_checks(deal_key: str) -> list[dict[str, Any]]:
        """Answers that were kept with the deal, newest first."""
        async with database.transaction() as connection:
            return await read_answers(connection, deal_key)


def add_slip_routes(app: FastAPI, desk: SlipDesk) -> None:
    """Adds ``GET /deals/{key}/slip``."""

    @app.get("/deals/{deal_key}/slip")
    async def slip(deal_key: str) -> dict[str, Any]:
        """How many days late the deal is or will probably be, split by cause; the parts sum to the delay."""
        return await desk.answer(deal_key)
