"""The part of the sandbox's own API about what hangs on an issue: links to places outside Jira, and comments."""

import msgspec
from fastapi import APIRouter, Request, Response

from troth_sandbox.jira import attachments
from troth_sandbox.jira.answers import Here, answer, body_as
from troth_sandbox.jira.records import Json

router = APIRouter(prefix="/admin/issues/{id_or_key}")


class RemoteLink(msgspec.Struct, forbid_unknown_fields=True):
    """An address outside Jira, how the link is called, and what an app that makes it adds."""

    url: str
    title: str = ""
    summary: str | None = None
    global_id: str | None = None
    application: Json | None = None
    actor: str | None = None

    def as_json(self) -> Json:
        """In the vendor's form."""
        target = {"url": self.url, "title": self.title or self.url}
        target |= {"summary": self.summary} if self.summary else {}
        found: Json = {"object": target}
        found |= {"globalId": self.global_id} if self.global_id else {}
        return found | ({"application": self.application} if self.application else {})


class CommentEdit(msgspec.Struct, forbid_unknown_fields=True):
    """Who writes what."""

    body: str
    actor: str | None = None


@router.post("/remote-links")
async def add_remote_link(here: Here, id_or_key: str, request: Request) -> Response:
    """Link an issue to something outside Jira."""
    link = await body_as(request, RemoteLink)
    issue = here.site.store.issue(id_or_key)
    return answer({"id": attachments.add_link(here.site, issue, link.as_json(), link.actor, here.now)}, 201)


@router.delete("/remote-links/{number}")
async def remove_remote_link(here: Here, id_or_key: str, number: int) -> Response:
    """Remove a link."""
    attachments.remove_link(here.site, here.site.store.issue(id_or_key), number, None, here.now)
    return Response(status_code=204)


@router.post("/comments")
async def add_comment(here: Here, id_or_key: str, request: Request) -> Response:
    """Comment on an issue."""
    edit = await body_as(request, CommentEdit)
    issue = here.site.store.issue(id_or_key)
    return answer({"id": attachments.add_comment(here.site, issue, edit.body, edit.actor, here.now).id}, 201)


@router.delete("/comments/{number}")
async def remove_comment(here: Here, id_or_key: str, number: int) -> Response:
    """Remove a comment."""
    attachments.remove_comment(here.site, here.site.store.issue(id_or_key), number, None, here.now)
    return Response(status_code=204)
