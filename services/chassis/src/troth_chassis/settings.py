"""Settings from the environment: every problem at once, secrets from files, no unknown names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from troth_chassis.errors import ConfigurationError

PREFIX = "TROTH_"
_FILE = "_FILE"
_OTHERS = (
    "TROTH_CRM_",
    "TROTH_JIRA_",
    "TROTH_RISK_",
    "TROTH_SANDBOX_",
    "TROTH_FIXTURES",
    "TROTH_FULL",
    "TROTH_REQUIRE_ALL",
)
"""Names of the other services, the sandbox and the tests: one environment file may serve them all."""


class ChassisSettings(BaseSettings):
    """What every service is told. A service subclasses it with fields named after itself."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", populate_by_name=True)

    own_prefix: str = Field(default=PREFIX, exclude=True)
    kafka_bootstrap_servers: str = Field(validation_alias="KAFKA_BOOTSTRAP_SERVERS", min_length=3)
    kafka_producer_mode: Literal["transactional", "plain"] = "transactional"
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    timezone: str = "UTC"
    """IANA name; days and dates end at midnight there."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("not an IANA time zone such as Europe/Stockholm") from error
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which days end."""
        return ZoneInfo(self.timezone)


S = TypeVar("S", bound=ChassisSettings)


class _Given(EnvSettingsSource):
    """The environment that was handed in, instead of the process's own."""

    def __init__(self, settings_class: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._given = {name.lower(): value for name, value in environ.items()}
        super().__init__(settings_class)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given


def load_settings(settings_class: type[S], environ: Mapping[str, str]) -> S:
    """Reads ``settings_class`` from ``environ``; ConfigurationError lists every problem found."""
    names = dict(_names(settings_class))
    problems: list[str] = []
    values = _with_files(environ, names, problems)
    problems += _unknown(environ, settings_class, names)
    try:
        settings = _bind(settings_class, values)()
    except ValidationError as error:
        problems += [_sentence(names, item["loc"], item["msg"]) for item in error.errors()]
        settings = None
    except SettingsError as error:
        problems.append(str(error))
        settings = None
    if problems or settings is None:
        raise ConfigurationError("settings: " + "; ".join(problems))
    return settings


def _bind(settings_class: type[S], environ: Mapping[str, str]) -> Callable[[], S]:
    """The class, reading ``environ`` and nothing else."""

    class Bound(settings_class):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], **_: PydanticBaseSettingsSource
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (_Given(settings_cls, environ),)

    return Bound


def _names(settings_class: type[ChassisSettings]) -> Iterator[tuple[str, str]]:
    """Environment name by field name."""
    for field, info in settings_class.model_fields.items():
        if field == "own_prefix":
            continue
        alias = info.validation_alias
        yield field, alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def _with_files(environ: Mapping[str, str], names: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    values = dict(environ)
    for name in names.values():
        path = environ.get(name + _FILE)
        if path is None:
            continue
        if name in environ:
            problems.append(f"{name} and {name}{_FILE} are both set: keep one")
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{name}{_FILE}: cannot read the file ({type(error).__name__})")
    return values


def _unknown(
    environ: Mapping[str, str], settings_class: type[ChassisSettings], names: Mapping[str, str]
) -> list[str]:
    known = set(names.values()) | {name + _FILE for name in names.values()}
    own = settings_class.model_fields["own_prefix"].default
    foreign = tuple(prefix for prefix in _OTHERS if prefix != own)
    return [
        f"{name} is not a setting of this service: remove it or mend its spelling"
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and name not in known and not name.startswith(foreign)
    ]


def _sentence(names: Mapping[str, str], location: tuple[int | str, ...], message: str) -> str:
    said = "is required" if message == "Field required" else message.removeprefix("Value error, ")
    if not location:  # a rule about several settings names them itself
        return said
    field = str(location[0])
    return f"{names.get(field, field)}: {said}"
