"""What an answer of the REST API says, read strictly: anything else is no usable answer, and is asked for again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from crm_sync.errors import SalesforceUnavailable
from crm_sync.salesforce import Deletions, Described, Description, Lookup, Page
from crm_sync.soql import parse_time


def read_page(body: Any, headers: Mapping[str, str]) -> Page:
    """A query result; SalesforceUnavailable when it is something else."""
    with _expecting("a query result"):
        next_url = None if body["done"] else str(body["nextRecordsUrl"])
        at = parsedate_to_datetime(headers["Date"])
        return Page(tuple(body["records"]), int(body["totalSize"]), next_url, at)


def read_described(body: Any, _headers: Mapping[str, str]) -> Description:
    """The fields of a describe, and the objects that look it up."""
    with _expecting("a describe"):
        children = body.get("childRelationships") or ()
        lookups = (Lookup(item["childSObject"], item["field"]) for item in children)
        logged = body.get("replicateable") is not False
        return Description.of((_described(item) for item in body["fields"]), lookups, replicateable=logged)


def read_deletions(body: Any, _headers: Mapping[str, str]) -> Deletions:
    """The answer of getDeleted."""
    with _expecting("a list of deletions"):
        ids = tuple(str(item["id"]) for item in body["deletedRecords"])
        return Deletions(ids, parse_time(body["latestDateCovered"]))


def _described(item: Mapping[str, Any]) -> Described:
    targets = list(item.get("referenceTo") or ())
    return Described(
        name=item["name"],
        type=item["type"],
        custom=bool(item.get("custom")),
        filterable=bool(item["filterable"]),
        label=item.get("label") or item["name"],
        target=targets[0] if len(targets) == 1 else None,
    )


@contextlib.contextmanager
def _expecting(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SalesforceUnavailable(f"the answer is not {what}: {error!r}") from error


class Descriptions:
    """The last describe of each object, so that it is asked for again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Description, str]] = {}

    def condition(self, name: str) -> dict[str, str]:
        """Header of the question; empty the first time."""
        return {"If-Modified-Since": self._known[name][1]} if name in self._known else {}

    def known(self, name: str) -> Description:
        """The last answer; only a known one is asked for conditionally."""
        return self._known[name][0]

    def take(self, name: str, body: Any, headers: Mapping[str, str]) -> Description:
        """Keeps a new answer."""
        told = read_described(body, headers)
        self._known[name] = (told, headers.get("Last-Modified") or headers["Date"])
        return told
