"""Settings: everything wrong is said at once, in sentences that name the variable."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from troth_chassis.errors import ConfigurationError
from troth_chassis.settings import ChassisSettings, load_settings


class Settings(ChassisSettings):
    """A service with one secret and one number."""

    own_prefix: str = Field(default="TROTH_CRM_", exclude=True)
    crm_secret: SecretStr = Field(min_length=1)
    crm_poll_seconds: float = Field(default=30.0, gt=0)


GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "TROTH_CRM_SECRET": "canary-secret"}


def load(**changes: str) -> Settings:
    return load_settings(Settings, {**GOOD, **changes})


def problems(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(Settings, environ)
    return str(caught.value)


def test_what_is_needed_is_enough() -> None:
    settings = load_settings(Settings, GOOD)
    assert settings.kafka_bootstrap_servers == "kafka:9092"
    assert settings.kafka_producer_mode == "transactional"
    assert settings.crm_secret.get_secret_value() == "canary-secret"
    assert settings.zone.key == "UTC"


def test_the_environment_that_is_given_counts_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROTH_CRM_POLL_SECONDS", "5")
    assert load().crm_poll_seconds == 30.0


def test_every_problem_is_listed_at_once() -> None:
    told = problems(
        {
            "TROTH_LOG_LEVEL": "chatty",
            "TROTH_TIMEZONE": "Mars/Olympus",
            "TROTH_HTTP_PORT": "70000",
            "TROTH_CRM_POLL_SECONDS": "0",
            "TROTH_CRM_POL_SECONDS": "9",
        }
    )
    assert told.startswith("settings: ")
    assert "\n" not in told
    for sentence in (
        "KAFKA_BOOTSTRAP_SERVERS: is required",
        "TROTH_CRM_SECRET: is required",
        "TROTH_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'",
        "TROTH_TIMEZONE: not an IANA time zone such as Europe/Stockholm",
        "TROTH_HTTP_PORT: Input should be less than or equal to 65535",
        "TROTH_CRM_POLL_SECONDS: Input should be greater than 0",
        "TROTH_CRM_POL_SECONDS is not a setting of this service: remove it or mend its spelling",
    ):
        assert sentence in told


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "CEST+1"])
def test_a_zone_must_be_known(zone: str) -> None:
    assert "TROTH_TIMEZONE: not an IANA time zone" in problems({**GOOD, "TROTH_TIMEZONE": zone})


def test_a_zone_decides_when_days_end() -> None:
    assert load(TROTH_TIMEZONE="Europe/Stockholm").zone.key == "Europe/Stockholm"


class TestNamesNobodyKnows:
    """A misspelt setting that is silently ignored is a wrong default in production."""

    @pytest.mark.parametrize(
        "name", ["TROTH_CRM_POLL", "TROTH_LOGLEVEL", "TROTH_OWN_PREFIX", "troth_log_level"]
    )
    def test_is_refused(self, name: str) -> None:
        assert f"{name} is not a setting of this service" in problems({**GOOD, name: "debug"})

    @pytest.mark.parametrize("name", ["TROTH_JIRA_URL", "TROTH_RISK_TRIALS", "TROTH_SANDBOX_SEED"])
    def test_other_services_settings_pass_so_that_one_file_serves_all(self, name: str) -> None:
        load(**{name: "anything"})

    @pytest.mark.parametrize("name", ["TROTH_FULL", "TROTH_FIXTURES", "TROTH_REQUIRE_ALL"])
    def test_what_tests_are_told_passes_so_that_they_can_start_services(self, name: str) -> None:
        load(**{name: "1"})

    def test_what_is_not_ours_passes(self) -> None:
        load(PATH="/bin", KAFKA_HEAP_OPTS="-Xmx1g")


class TestSecretsFromFiles:
    def test_a_file_stands_in_for_the_value(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("from-a-file\n")
        environ = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "TROTH_CRM_SECRET_FILE": str(file)}
        assert load_settings(Settings, environ).crm_secret.get_secret_value() == "from-a-file"

    def test_every_setting_can_come_from_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "servers"
        file.write_text("kafka:9093\n")
        environ = {"KAFKA_BOOTSTRAP_SERVERS_FILE": str(file), "TROTH_CRM_SECRET": "canary-secret"}
        assert load_settings(Settings, environ).kafka_bootstrap_servers == "kafka:9093"

    def test_a_value_and_a_file_contradict_each_other(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("from-a-file")
        told = problems({**GOOD, "TROTH_CRM_SECRET_FILE": str(file)})
        assert told == "settings: TROTH_CRM_SECRET and TROTH_CRM_SECRET_FILE are both set: keep one"

    @pytest.mark.parametrize("path", ["/nonexistent/secret", "/", ""])
    def test_a_file_that_cannot_be_read(self, path: str) -> None:
        environ = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "TROTH_CRM_SECRET_FILE": path}
        assert "TROTH_CRM_SECRET_FILE: cannot read the file" in problems(environ)

    def test_an_empty_file_is_an_empty_secret(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("\n")
        environ = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "TROTH_CRM_SECRET_FILE": str(file)}
        assert "TROTH_CRM_SECRET: " in problems(environ)


def test_a_secret_is_never_shown() -> None:
    settings = load()
    assert "canary" not in repr(settings)
    assert "canary" not in problems({**GOOD, "TROTH_CRM_POLL_SECONDS": "0"})
