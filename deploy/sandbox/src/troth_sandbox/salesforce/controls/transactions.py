"""Controls for scripted transactions: begin, statements, commit now or by the clock, roll back."""

from typing import Any

from fastapi import APIRouter, HTTPException

from troth_sandbox.salesforce.clock import parse_moment
from troth_sandbox.salesforce.controls.arguments import Document, Held


def transaction_controls() -> APIRouter:
    """Routes of this area."""
    router = APIRouter(prefix="/admin/transactions")
    router.add_api_route("", listing, methods=["GET"])
    router.add_api_route("", begin, methods=["POST"])
    router.add_api_route("/{transaction_id}", add, methods=["POST"])
    router.add_api_route("/{transaction_id}", roll_back, methods=["DELETE"])
    router.add_api_route("/{transaction_id}/commit", commit, methods=["POST"])
    return router


async def listing(site: Held) -> list[dict[str, Any]]:
    """The open transactions, oldest first."""
    return [each.as_json() for each in site.transactions]


async def begin(document: Document, site: Held) -> dict[str, Any]:
    """Begin one with its first `operations`; `stamp` puts the begin into the past."""
    unknown = set(document) - {"operations", "commit_after_seconds", "stamp"}
    if unknown:
        raise HTTPException(422, f"a transaction has no {', '.join(sorted(unknown))}")
    try:
        began = parse_moment(document["stamp"]) if "stamp" in document else None
        transaction = site.transactions.begin(document.get("commit_after_seconds"), began)
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"a transaction cannot begin so: {error}") from error
    try:
        for each in document.get("operations", []):
            site.transactions.add(transaction.id, each, began)
    except (ValueError, TypeError, AttributeError) as error:
        site.transactions.roll_back(transaction.id)
        raise HTTPException(422, str(error)) from error
    site.transactions.settle()
    return transaction.as_json()


async def add(transaction_id: str, document: Document, site: Held) -> dict[str, Any]:
    """Make one more statement, stamped now."""
    try:
        operation = site.transactions.add(transaction_id, document)
    except KeyError:
        raise _closed(transaction_id) from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return {"op": operation.kind, "object": operation.object, "id": operation.row_id, "at": operation.at}


async def commit(transaction_id: str, site: Held) -> dict[str, Any]:
    """Commit now."""
    try:
        return site.transactions.commit(transaction_id).as_json()
    except KeyError:
        raise _closed(transaction_id) from None


async def roll_back(transaction_id: str, site: Held) -> dict[str, Any]:
    """Forget it."""
    try:
        return site.transactions.roll_back(transaction_id).as_json()
    except KeyError:
        raise _closed(transaction_id) from None


def _closed(transaction_id: str) -> HTTPException:
    return HTTPException(404, f"no transaction {transaction_id} is open")
