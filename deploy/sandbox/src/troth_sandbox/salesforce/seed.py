"""The seed file: what the org contains before anybody writes to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from troth_sandbox.errors import SeedError
from troth_sandbox.salesforce.schema import Field, field_from

RESERVED = frozenset(
    {"org_id", "objects", "custom_fields", "custom_objects", "auth", "multi_currency", "daily_api_limit"}
)


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """The one client that may ask for tokens; without a run-as user it is refused as the vendor would."""

    client_id: str
    client_secret: str
    run_as_user: bool = True
    public_key: str | None = None
    """PEM of the key that checks JWT bearer assertions."""
    approved: bool = True
    strict_expiry: bool = False


@dataclass(frozen=True, slots=True)
class Seed:
    """A checked seed file; records are still in the vendor's JSON."""

    org_id: str
    app: ConnectedApp
    objects: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    custom_fields: Mapping[str, list[Field]] = field(default_factory=dict)
    custom_objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    multi_currency: bool = True
    daily_api_limit: int = 100_000


def read_seed(path: Path) -> Seed:
    """Read and check a seed file. Raises SeedError with one sentence."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SeedError(f"the seed file {path} cannot be read: {error}") from error
    return parse_seed(document)


def parse_seed(document: Mapping[str, Any]) -> Seed:
    """Check a parsed seed. Raises SeedError with one sentence."""
    unknown = sorted(set(document) - RESERVED)
    if unknown:
        raise SeedError(f"the seed has keys this simulator does not know: {', '.join(unknown)}")
    try:
        return Seed(
            org_id=document["org_id"],
            app=_app(document["auth"]),
            objects=document.get("objects", {}),
            custom_fields=_custom_fields(_all_custom_fields(document)),
            custom_objects=document.get("custom_objects", {}),
            multi_currency=document.get("multi_currency", _speaks_of_currency(document.get("objects", {}))),
            daily_api_limit=document.get("daily_api_limit", 100_000),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise SeedError(f"the seed misses or misspells {error}") from error


def _app(auth: Mapping[str, Any]) -> ConnectedApp:
    return ConnectedApp(
        client_id=auth["client_id"],
        client_secret=auth["client_secret"],
        run_as_user=auth.get("run_as_user", True),
        public_key=auth.get("public_key"),
        approved=auth.get("approved", True),
        strict_expiry=auth.get("strict_expiry", False),
    )


def _all_custom_fields(document: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Fields of custom objects stand with the object; fields of standard ones under custom_fields."""
    own = {name: each.get("fields", []) for name, each in document.get("custom_objects", {}).items()}
    return own | dict(document.get("custom_fields", {}))


def _custom_fields(document: Mapping[str, list[Mapping[str, Any]]]) -> Mapping[str, list[Field]]:
    return {name: [field_from(line) for line in lines] for name, lines in document.items()}


def _speaks_of_currency(objects: Mapping[str, list[Mapping[str, Any]]]) -> bool:
    return bool(objects.get("CurrencyType")) or any(
        "CurrencyIsoCode" in record for records in objects.values() for record in records
    )
