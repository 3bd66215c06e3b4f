"""Structured logs: JSON unless a person is watching, secrets redacted wherever they turn up."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal
from urllib.parse import quote, quote_plus

import structlog

Level = Literal["debug", "info", "warning", "error"]
REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"secret|token|passw|passphrase|credential|authorization|signature|cookie|api[-_]?key|private",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=!-]{6,}")
_USERINFO = re.compile(r"(://(?:[^/\s:@]*:)?)[^/\s]*@")
_PARAMETER = re.compile(r"(?i)\b(\w*(?:secret|token|password|assertion|api[-_]?key|signature)=)[^&\s\"']+")


class Redactor:
    """A structlog processor that hides secret names, known secret values, credentials in URLs and headers."""

    def __init__(self) -> None:
        self._values: list[str] = []  # longest first: one secret may be a part of another

    def remember(self, value: str) -> None:
        """From now on hide this exact text; very short texts are ignored."""
        if len(value) >= 6:
            forms = {value, quote(value, safe=""), quote_plus(value)}
            self._values = sorted({*self._values, *forms}, key=len, reverse=True)

    def forget(self, value: str) -> None:
        """The secret is worth nothing any more; what is remembered does not grow with every renewal."""
        gone = {value, quote(value, safe=""), quote_plus(value)}
        self._values = [known for known in self._values if known not in gone]

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for value in self._values:
            text = text.replace(value, REDACTED)
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
        return _PARAMETER.sub(rf"\1{REDACTED}", _USERINFO.sub(rf"\1{REDACTED}@", text))

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for name, value in event.items():
            event[name] = self._clean_item(name, value)
        return event

    def _clean_item(self, name: str, value: Any) -> Any:
        if isinstance(value, int | float | bool | None):
            return value
        if _SECRET_NAME.search(name):
            return REDACTED
        if isinstance(value, dict):
            return {self.clean(str(key)): self._clean_item(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean_item("", item) for item in value]
        return self.clean(str(value))


redactor = Redactor()


def configure_logs(service: str, level: Level, style: Literal["auto", "json", "console"]) -> None:
    """Sends structlog and the standard library's loggers to standard error in one form."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
        structlog.processors.format_exc_info,
        redactor,
    ]
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiokafka", "httpx", "httpcore", "uvicorn", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # A topic's leader is elected a moment after the topic was created; the client asks again by itself.
    logging.getLogger("aiokafka.consumer.fetcher").setLevel(logging.ERROR)


def _named(service: str) -> structlog.types.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add
