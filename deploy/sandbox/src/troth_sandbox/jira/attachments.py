"""What hangs on an issue and is no field of it: links to places outside Jira, and comments.

Recorded facts (the changelogs of DevLake's site): making, changing and removing such a link writes an item without
`fieldId`, with the link's id in `to`, in both, or in `from`. The item is called `RemoteIssueLink`, on newer Cloud sites
`RemoteWorkItemLink`. That `updated` stays and that no webhook tells it is unverified; a switch lets `updated` move.
"""

import msgspec

from troth_sandbox.jira import news
from troth_sandbox.jira.errors import BadRequestError, NotFoundError
from troth_sandbox.jira.records import ChangeItem, Comment, History, Issue, Json
from troth_sandbox.jira.site import Site


def add_link(site: Site, issue: Issue, link: Json, actor: str | None, now: int) -> int:
    """The id of the new link; one with a known `globalId` is changed instead, as the platform spec says."""
    links = site.store.remote_links.setdefault(issue.id, [])
    known = next(
        (n for n, old in links if link.get("globalId") and old.get("globalId") == link["globalId"]), None
    )
    before = next((old for number, old in links if number == known), None)
    if known is None:
        site.last_link += 1
    number = known or site.last_link
    links[:] = [*((n, old) for n, old in links if n != number), (number, link)]
    _note(site, issue, number, before, link, actor, now)
    return number


def remove_link(site: Site, issue: Issue, number: int, actor: str | None, now: int) -> None:
    """NotFoundError when the issue has no such link."""
    links = site.store.remote_links.get(issue.id, [])
    link = link_of(site, issue, number)
    links.remove((number, link))
    _note(site, issue, number, link, None, actor, now)


def link_of(site: Site, issue: Issue, number: int) -> Json:
    """NotFoundError when the issue has no such link."""
    for known, link in site.store.remote_links.get(issue.id, []):
        if known == number:
            return link
    raise NotFoundError("The remote issue link does not exist.")


def add_comment(site: Site, issue: Issue, body: str, actor: str | None, now: int) -> Comment:
    """A comment moves `updated` and writes no history."""
    if not body:
        raise BadRequestError("Comment body can not be empty!")
    site.last_comment += 1
    author = actor or site.store.settings.account.account_id
    comment = Comment(site.last_comment, author, body, now)
    site.store.comments.setdefault(issue.id, []).append(comment)
    _touch(site, issue, None, actor, now)
    return comment


def remove_comment(site: Site, issue: Issue, number: int, actor: str | None, now: int) -> None:
    """NotFoundError when the issue has no such comment."""
    comments = site.store.comments.get(issue.id, [])
    found = next((comment for comment in comments if comment.id == number), None)
    if found is None:
        raise NotFoundError(f"Can not find a comment for the id: {number}.")
    comments.remove(found)
    _touch(site, issue, None, actor, now)


def _note(
    site: Site,
    issue: Issue,
    number: int,
    before: Json | None,
    after: Json | None,
    actor: str | None,
    now: int,
) -> None:
    (from_id, from_text), (to_id, to_text) = _words(number, before), _words(number, after)
    item = ChangeItem(
        site.switches.link_item, "jira", from_id=from_id, from_text=from_text, to_id=to_id, to_text=to_text
    )
    author = actor or site.store.settings.account.account_id
    history = History(site.next_history_id, now, author, (item,))
    site.next_history_id += 1
    if site.switches.links_move_updated:
        _touch(site, issue, history, actor, now)
    else:
        _keep(site, msgspec.structs.replace(issue, histories=(*issue.histories, history)), history, now)


def _words(number: int, link: Json | None) -> tuple[str | None, str | None]:
    if link is None:
        return None, None
    return str(number), f'This issue links to "{link["object"]["title"]} (Web Link)"'


def _touch(site: Site, issue: Issue, history: History | None, actor: str | None, now: int) -> None:
    histories = (*issue.histories, history) if history else issue.histories
    stored = _keep(site, msgspec.structs.replace(issue, updated=now, histories=histories), history, now)
    news.issue_updated(site, stored, history, actor, now, bulk=False)


def _keep(site: Site, issue: Issue, history: History | None, now: int) -> Issue:
    stored = site.store.put(issue)
    site.publish(stored.id, stored, now)
    site.write_log.add("issue_updated", now, issueId=issue.id, key=issue.key, history=history)
    return stored
