"""The vendor's own description of its API, cut down to what the simulator serves, with the errata known of it."""

from __future__ import annotations

import copy
import json
import re
import warnings
from pathlib import Path
from typing import Any, cast

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from troth_sandbox.jira.app import api
from troth_sandbox.jira.edge import Edge
from troth_sandbox.jira.site import Site

Json = dict[str, Any]
Operation = tuple[str, str]
"""Method and path, the names of its parameters left out."""
FILES = {"/rest/api/3/": "platform-v3.json", "/rest/agile/1.0/": "software.json"}
BESIDE = {
    "/rest/api/2/": "the platform API in version 2: the same operations under another prefix, no file of its own here",
    "/rest/webhooks/": "admin webhooks: described on the webhook page only",
    "/rest/jira-webhook/": "admin webhooks under their newer address",
    "/rest/greenhopper/": "internal and unversioned: described nowhere",
    "/oauth/": "belongs to auth.atlassian.com",
}


class Erratum(msgspec.Struct, frozen=True):
    """A place where the official schema is stricter than what sites are known to send."""

    schema: str
    field: str
    becomes: Json
    reason: str


ERRATA = (
    *(
        Erratum("ChangeDetails", name, {"type": "string", "nullable": True}, "null in the official example")
        for name in ("from", "fromString", "to", "toString")
    ),
    Erratum(
        "ServerInformation", "defaultLocale", {"type": "object"}, "in the official example, not in the schema"
    ),
    Erratum(
        "SearchAndReconcileResults",
        "nextPageToken",
        {"type": "string", "nullable": True},
        "one sentence of the spec says null on the last page, another says absent",
    ),
    Erratum(
        "Changelog",
        "created",
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        "integer in the official example of changelog/bulkfetch",
    ),
)


_LINK: Json = {"$ref": "#/components/schemas/RemoteIssueLink"}
LISTED = {
    ("/rest/api/3/issue/{issueIdOrKey}/remotelink", "get"): {
        "anyOf": [_LINK, {"type": "array", "items": _LINK}]
    }
}
"""Answers that are a list though the schema describes one of its members: the text and a recording (go-jira) say so."""
CONFIGURATION = "/rest/agile/1.0/board/{boardId}/configuration"
LOCATED = {name: {"type": "string"} for name in ("key", "id", "self", "name")}
"""What both recorded board configurations (go-jira, jirametrics) have in ``location`` and the schema does not."""
_NO_OBJECT = {"type": "object", "additionalProperties": False}
"""Of ``state`` and ``type`` in the agile file, whose text says: values separated by commas."""
COLONLESS = "recorded platform times have an offset without a colon, which is no RFC 3339 date-time"
"""The erratum of every place at once: the format is dropped, the type stays."""


def served(site: Site) -> frozenset[Operation]:
    """Every operation the simulator's routes answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one function serves GET and POST of the removed search
        app = cast("FastAPI", cast("Edge", api(site))._app)
        found = get_openapi(title="served", version="1", routes=app.routes)
    return frozenset(
        (method.upper(), nameless(path)) for path, item in found["paths"].items() for method in item
    )


def nameless(path: str) -> str:
    """``/issue/{}`` for ``/issue/{issueIdOrKey}``."""
    return re.sub(r"\{[^}]+\}", "{}", path)


def described(fixtures: Path, prefix: str, operations: frozenset[Operation]) -> Json:
    """One official file with the errata applied and only these operations left."""
    spec = official(fixtures, FILES[prefix])
    kept: Json = {}
    for path, item in spec["paths"].items():
        methods = {
            method: part for method, part in item.items() if (method.upper(), nameless(path)) in operations
        }
        if methods:
            kept[path] = methods
    corrected = {name: part for name, part in spec.items() if name != "servers"} | {"paths": kept}
    _correct_schemas(corrected["components"])
    _correct_operations(kept)
    return corrected


def _correct_schemas(components: Json) -> None:
    for erratum in ERRATA:
        if erratum.schema in components.get("schemas", {}):
            components["schemas"][erratum.schema]["properties"][erratum.field] = erratum.becomes
    _drop_formats(components)


def _correct_operations(paths: Json) -> None:
    for (path, method), schema in LISTED.items():
        if path in paths:
            _answer(paths[path][method])["schema"] = schema
    if CONFIGURATION in paths:
        _answer(paths[CONFIGURATION]["get"])["schema"]["properties"]["location"]["properties"] |= LOCATED
    for parameter in (
        p for item in paths.values() for part in item.values() for p in part.get("parameters", ())
    ):
        if parameter.get("schema") == _NO_OBJECT:
            parameter["schema"] = {"type": "string"}


def _answer(operation: Json) -> Json:
    content: Json = operation["responses"]["200"]["content"]["application/json"]
    return content


def _drop_formats(node: Any) -> None:
    if isinstance(node, list):
        for part in node:
            _drop_formats(part)
    elif isinstance(node, dict):
        if node.get("type") == "string" and node.get("format") == "date-time":
            del node["format"]
        for part in node.values():
            _drop_formats(part)


def official(fixtures: Path, name: str) -> Json:
    """The file as the vendor publishes it."""
    spec: Json = json.loads((fixtures / "jira" / "openapi" / name).read_text(encoding="utf-8"))
    return copy.deepcopy(spec)


def operations_in(spec: Json) -> frozenset[Operation]:
    """Every operation of an OpenAPI file."""
    return frozenset(
        (method.upper(), nameless(path))
        for path, item in spec["paths"].items()
        for method in item
        if method in ("get", "post", "put", "delete")
    )
