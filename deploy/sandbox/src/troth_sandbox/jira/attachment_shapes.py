"""How links to places outside Jira and comments look."""

from troth_sandbox.jira.records import Comment, Issue, Json
from troth_sandbox.jira.render import Renderer

COMMENTS_INSIDE = 20
"""Comments that come along in an issue's own field; how many a live site sends is unverified."""


def rendered_link(render: Renderer, issue: Issue, number: int, link: Json) -> Json:
    """In vendor form."""
    return {"id": number, "self": f"{render.rest}/issue/{issue.key}/remotelink/{number}"} | link


def comment_page(render: Renderer, issue: Issue, start: int, size: int) -> Json:
    """Oldest first."""
    comments = render.store.comments.get(issue.id, [])
    return {
        "comments": [_rendered_comment(render, issue, comment) for comment in comments[start : start + size]],
        "maxResults": size,
        "total": len(comments),
        "startAt": start,
    }


def _rendered_comment(render: Renderer, issue: Issue, comment: Comment) -> Json:
    stamp, author = render.stamp(comment.created), render.user(comment.author)
    return {
        "self": f"{render.rest}/issue/{issue.id}/comment/{comment.id}",
        "id": str(comment.id),
        "author": author,
        "body": render.rich_text(comment.body),
        "updateAuthor": author,
        "created": stamp,
        "updated": stamp,
    }
