"""What can be asked: versions, the resources of a version, and the limits."""

from typing import Any

from fastapi import APIRouter, Response

from troth_sandbox.salesforce.api.calls import VERSIONS, Prefix, Simulated, Token, answer, both
from troth_sandbox.salesforce.bulk import JOBS_PER_DAY

SEASONS = ("Winter", "Spring", "Summer")
WINTER_26 = 65
RESOURCES = ("composite", "jobs", "limits", "query", "queryAll", "sobjects")


def discovery_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/data"):
        router.add_api_route(path, versions)
    for path in both("/services/data/{version}"):
        router.add_api_route(path, resources)
    for path in both("/services/data/{version}/limits"):
        router.add_api_route(path, limits)
    return router


async def versions() -> Response:
    """Every version the org serves; needs no session and tells no limits."""
    return answer([_version(number) for number in VERSIONS])


async def resources(prefix: Prefix, _token: Token) -> Response:
    """The resources of a version."""
    return answer({name: f"{prefix}/{name}" for name in RESOURCES})


async def limits(site: Simulated, _prefix: Prefix, _token: Token) -> Response:
    """The daily allowance; this call counts too."""
    usage = site.usage
    return answer(
        {
            "DailyApiRequests": {"Max": usage.allowed, "Remaining": max(0, usage.allowed - usage.used)},
            "DailyBulkV2QueryJobs": {"Max": JOBS_PER_DAY, "Remaining": JOBS_PER_DAY - site.jobs.today()},
        }
    )


def _version(number: int) -> dict[str, Any]:
    year, season = divmod(number - WINTER_26, len(SEASONS))
    return {
        "label": f"{SEASONS[season]} '{26 + year}",
        "url": f"/services/data/v{number}.0",
        "version": f"{number}.0",
    }
