"""Where on an issue a CRM record can be named, and the references found there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jira_sync.domain.fields import SiteFields
from jira_sync.domain.references import mentions
from jira_sync.parse import Json, linked_text, optional_part, optional_text, parts, sound
from troth_contracts.jira import CrmReference

LinkReading = Literal["announced", "every", "none"]
REMOTE_LINK = "remote_link"
RULES_VERSION = 1
"""Grows when more is found than before: then every project is read again."""
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """What counts as a reference, and where it is looked for beside summary, description and text fields."""

    pattern: re.Pattern[str] | None = None
    comments: bool = False
    links: LinkReading = "announced"
    """Links outside Jira are read of issues whose changelog speaks of one, of every issue, or of none."""

    def fingerprint(self) -> str:
        """Changes when other references would be found."""
        pattern = self.pattern.pattern if self.pattern else ""
        return f"references/{RULES_VERSION} {self.links} {self.comments} {pattern}".rstrip()


@dataclass(frozen=True, slots=True)
class _Place:
    place: str
    text: str
    name: str | None = None


def references_in(
    document: Json, fields: SiteFields, rules: ReferenceRules, links: Iterable[Json]
) -> tuple[CrmReference, ...]:
    """The references on an issue as the vendor sent it and on its links, each record once per place and kind."""
    found: dict[tuple[str, str, str], CrmReference] = {}
    for place in (*_fields(optional_part(document, "fields"), fields, rules), *map(_link, links)):
        for mention in mentions(place.text, rules.pattern):
            reference = CrmReference(
                place=place.place,
                value=mention.value,
                kind=mention.kind,
                text=mention.text,
                place_name=place.name,
            )
            found.setdefault((place.place, mention.kind, mention.value), reference)
    return tuple(found[identity] for identity in sorted(found))


def of_links(references: Iterable[CrmReference]) -> tuple[CrmReference, ...]:
    """Those that were found on links."""
    return tuple(reference for reference in references if reference.place == REMOTE_LINK)


def _fields(values: Json, fields: SiteFields, rules: ReferenceRules) -> Iterator[_Place]:
    for name in ("summary", "description"):
        yield _Place(name, linked_text(values.get(name)))
    for field_id, name in fields.texts.items():
        yield _Place(f"field:{field_id}", linked_text(values.get(field_id)), name)
    if rules.comments:
        for comment in comments_of(values):
            yield _Place("comment", linked_text(comment.get("body")))


def comments_of(values: Json) -> Sequence[Json]:
    """The comments an issue's fields hold."""
    return parts(optional_part(values, "comment"), "comments")


def _link(document: Json) -> _Place:
    target = optional_part(document, "object")
    identity = re.sub("[=&]", " ", str(document.get("globalId") or ""))
    told = (optional_text(target, name) or "" for name in ("url", "title", "summary"))
    name = optional_text(target, "title")
    return _Place(REMOTE_LINK, sound("\n".join((*told, identity))), name[:_LONGEST_NAME] if name else None)
