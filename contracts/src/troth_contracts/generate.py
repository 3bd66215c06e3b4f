"""Writes what others read: a JSON Schema per type, an AsyncAPI 3 document and the topic table.

``python -m troth_contracts.generate`` writes, ``--check`` fails when a file is missing or stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from troth_contracts.topics import TOPICS, Topic

ROOT = Path(__file__).resolve().parents[2]
VERSION = "1.0.0"
_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "deterministic: the same fact always has the same id"},
        "ce_source": {"type": "string", "description": "the service that wrote the record"},
        "ce_type": {"type": "string"},
        "ce_subject": {"type": "string", "description": "the record's key"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_version": {
            "type": "string",
            "description": "state records: server time in ms at which the read began",
        },
        "ce_contenthash": {
            "type": "string",
            "description": "state records: hash of the value, - for a tombstone",
        },
        "content-type": {"const": "application/json"},
    },
}
_LETTER_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type", "reason", "source"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "the same record always has the same id"},
        "ce_source": {"type": "string", "description": "the service that could not use the record"},
        "ce_type": {"type": "string"},
        "content-type": {"const": "application/octet-stream"},
        "reason": {"type": "string", "description": "one sentence: why the record cannot be used"},
        "source": {"type": "string", "description": "topic or vendor object the record came from"},
        "position": {"type": "string", "description": "partition and offset, where there is one"},
    },
}


def schema_of(topic: Topic) -> dict[str, Any]:
    """JSON Schema of the topic's value."""
    if topic.content is None:
        return {"description": "original bytes of the record that could not be used"}
    schema = msgspec.json.schema(topic.content)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": topic.ce_type, **schema}


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file, relative to ``contracts``, with its text."""
    for name, schema in schemas().items():
        yield Path("schemas") / f"{name}.json", _json(schema)
    yield Path("asyncapi.json"), _json(_asyncapi())
    yield Path("TOPICS.md"), _table()


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by CloudEvents type."""
    return {topic.ce_type: schema_of(topic) for topic in TOPICS if topic.content is not None}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 when ``--check`` found a stale file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the contracts folder")
    options = parser.parse_args(arguments)
    if options.check:
        return _report(options.root)
    for path, text in files():
        target = options.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for orphan in _orphans(options.root):
        (options.root / orphan).unlink()
    return 0


def _report(root: Path) -> int:
    stale = [path for path, text in files() if not _is_fresh(root / path, text)]
    for path in (*stale, *_orphans(root)):
        print(f"stale: contracts/{path}: run python -m troth_contracts.generate", file=sys.stderr)  # noqa: T201
    return 1 if stale or _orphans(root) else 0


def _orphans(root: Path) -> list[Path]:
    """Schemas whose type is no longer declared."""
    known = {path for path, _ in files()}
    found = (path.relative_to(root) for path in sorted((root / "schemas").glob("*.json")))
    return [path for path in found if path not in known]


def _is_fresh(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _asyncapi() -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Troth", "version": VERSION, "description": "Topics of Troth on Kafka."},
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            f"read {topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in TOPICS
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {
            topic.ce_type: {
                "name": topic.ce_type,
                "headers": _HEADERS if topic.content else _LETTER_HEADERS,
                "payload": {"$ref": f"schemas/{topic.ce_type}.json"} if topic.content else schema_of(topic),
                "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
            }
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": topic.config(),
            }
        },
    }


def _table() -> str:
    lines = [
        "# Topics",
        "",
        "Generated from `troth_contracts.topics`; do not edit.",
        "",
        "| Topic | Key | Cleanup | Partitions | Type | Content |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{topic.name}` | {topic.key} | {_cleanup(topic)} | {topic.partitions} | `{topic.ce_type}` | {topic.about} |"
        for topic in TOPICS
    ]
    return "\n".join(lines) + "\n"


def _cleanup(topic: Topic) -> str:
    return topic.cleanup if topic.retention is None else f"{topic.cleanup}, {topic.retention.days} d"


if __name__ == "__main__":
    sys.exit(main())
