"""The two applications of a site: the API behind its edge, and the admin API of the sandbox."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from troth_sandbox.jira import (
    admin,
    admin_attachments,
    admin_catalogue,
    admin_delivery,
    agile,
    agile_issues,
    changelogs,
    datacenter,
    filters,
    greenhopper,
    hook_routes,
    oauth,
    platform,
    search,
)
from troth_sandbox.jira.answers import refusal
from troth_sandbox.jira.courier import Courier
from troth_sandbox.jira.edge import Edge
from troth_sandbox.jira.errors import BadRequestError, JiraError, NotFoundError
from troth_sandbox.jira.site import Site

_BOTH = (platform.router, filters.router)
_CLOUD = (platform.cloud_router, search.router, changelogs.router, *_BOTH, hook_routes.dynamic_hooks)
_SERVER = (datacenter.router, *_BOTH)


def api(site: Site) -> ASGIApp:
    """What a client of Jira talks to."""
    app = _bare(site)
    server = site.store.data_center
    for version in ("2", "latest") if server else ("2", "3"):
        for part in _SERVER if server else _CLOUD:
            app.include_router(part, prefix=f"/rest/api/{version}")
    for place in ("webhooks", "jira-webhook"):
        app.include_router(hook_routes.admin_hooks, prefix=f"/rest/{place}/1.0/webhook")
    app.include_router(oauth.router)
    app.include_router(agile.router)
    app.include_router(agile_issues.router)
    app.include_router(greenhopper.router)
    return Edge(app, site)


def admin_api(site: Site, courier: Courier | None = None) -> ASGIApp:
    """What the sandbox and its tests steer the site with; no authentication. Without a courier nothing is delivered."""
    app = _bare(site)
    app.state.courier = courier
    for part in (admin, admin_attachments, admin_catalogue, admin_delivery):
        app.include_router(part.router)
    for fault in (AttributeError, KeyError, TypeError, ValueError):
        app.add_exception_handler(fault, _malformed)
    return app


def _bare(site: Site) -> FastAPI:
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.site = site
    app.add_exception_handler(JiraError, _refused)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _no_route)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    return refusal(error if isinstance(error, JiraError) else JiraError(str(error)))


async def _bad_parameter(_: Request, error: Exception) -> Response:
    places = error.errors() if isinstance(error, RequestValidationError) else []
    return refusal(BadRequestError(*(f"{place['loc'][-1]}: {place['msg']}" for place in places)))


async def _malformed(_: Request, error: Exception) -> Response:
    """An edit whose values have the wrong shape; nothing is stored before all of an edit is understood."""
    return refusal(BadRequestError(f"The edit is malformed: {type(error).__name__}: {error}"))


async def _no_route(_: Request, error: Exception) -> Response:
    refused = NotFoundError("null for uri") if isinstance(error, HTTPException) else JiraError(str(error))
    if isinstance(error, HTTPException) and error.status_code != 404:
        refused.status = error.status_code
    return refusal(refused)
