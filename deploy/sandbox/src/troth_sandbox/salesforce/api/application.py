"""The FastAPI application of the org: all routes, and every refusal in the vendor's envelope."""

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from troth_sandbox.salesforce.api.bulk import bulk_routes
from troth_sandbox.salesforce.api.calls import answer
from troth_sandbox.salesforce.api.collections import collection_routes
from troth_sandbox.salesforce.api.composite import composite_routes
from troth_sandbox.salesforce.api.discovery import discovery_routes
from troth_sandbox.salesforce.api.oauth import oauth_routes
from troth_sandbox.salesforce.api.query import query_routes
from troth_sandbox.salesforce.api.records import record_routes
from troth_sandbox.salesforce.api.replication import replication_routes
from troth_sandbox.salesforce.api.writes import write_routes
from troth_sandbox.salesforce.errors import SalesforceError, api_error
from troth_sandbox.salesforce.simulation import Site


def build_api(site: Site) -> FastAPI:
    """The application over one site; it serves no documentation pages of its own."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.site = site
    for routes in (
        oauth_routes,
        discovery_routes,
        bulk_routes,
        composite_routes,
        collection_routes,
        replication_routes,
        query_routes,
        record_routes,
        write_routes,
    ):
        app.include_router(routes())
    app.add_exception_handler(SalesforceError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    return app


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SalesforceError):
        raise error
    return answer(error.body, error.status)


async def _not_routed(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    refusal = api_error("not_found")
    if status == 405:
        refusal = api_error("method_not_allowed", method=request.method, allowed="GET")
    return answer(refusal.body, refusal.status)
