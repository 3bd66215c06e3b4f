"""What the environment may say, and the sentence for what it may not."""

import pytest

from risk_engine.settings import EngineSettings
from troth_chassis.errors import ConfigurationError
from troth_chassis.settings import load_settings

GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "DATABASE_URL": "postgresql://troth:secret@db:5432/troth",
}
SECRET = "whsec_" + "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0"
WEBHOOK = {"TROTH_RISK_WEBHOOK_URL": "https://hooks.test/troth", "TROTH_RISK_WEBHOOK_SECRET": SECRET}


def test_the_smallest_environment_is_a_database_and_kafka() -> None:
    settings = load_settings(EngineSettings, GOOD)
    assert settings.risk_trials == 2_000
    assert settings.risk_webhook_url is None
    assert settings.allowed_networks == ()


def test_what_the_command_line_asks_with_may_stand_beside_it() -> None:
    """One environment file serves the engine and those who ask it; the token is hidden as any secret is."""
    asking = {"TROTH_RISK_URL": "http://risk:8080", "TROTH_RISK_TOKEN": "troth_abc"}
    assert "troth_abc" not in repr(load_settings(EngineSettings, GOOD | asking))


def test_a_webhook_has_a_url_and_a_secret() -> None:
    assert load_settings(EngineSettings, GOOD | WEBHOOK).risk_webhook_url == "https://hooks.test/troth"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"DATABASE_URL": "mysql://db/troth"}, "DATABASE_URL: must start with postgresql://"),
        (
            {"DATABASE_URL": "postgresql://troth:secret@db:port/troth?no=1"},
            "not a URL PostgreSQL understands",
        ),
        ({"TROTH_RISK_WEBHOOK_SECRET": "whsec_dG9vIHNob3J0"}, "whsec_ and at least 24 bytes in base64"),
        ({"TROTH_RISK_WEBHOOK_SECRET": "not base64!"}, "whsec_ and at least 24 bytes in base64"),
        ({"TROTH_RISK_WEBHOOK_URL": "hooks.test/troth"}, "must be a URL such as https://"),
        ({"TROTH_RISK_WEBHOOK_URL": "https://hooks.test:port/"}, "TROTH_RISK_WEBHOOK_URL: is not a URL"),
        ({"TROTH_RISK_WEBHOOK_URL": "ftp://hooks.test/"}, "must be a URL such as https://"),
        ({"TROTH_RISK_WEBHOOK_CA_BUNDLE": "/nowhere.pem"}, "/nowhere.pem cannot be read as certificates"),
        ({"TROTH_RISK_WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/99"}, "TROTH_RISK_WEBHOOK_ALLOWED_NETWORKS"),
        ({"TROTH_RISK_HOLIDAYS": "Atlantis"}, "not a country code the package holidays knows"),
        ({"TROTH_RISK_TRIALS": "7"}, "TROTH_RISK_TRIALS"),
        ({"TROTH_TIMEZONE": "Mars/Base"}, "not an IANA time zone"),
        ({"TROTH_RISK_TRIALZ": "2000"}, "TROTH_RISK_TRIALZ is not a setting of this service"),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(EngineSettings, GOOD | WEBHOOK | change)
    assert sentence in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_a_url_without_a_secret_is_half_a_webhook() -> None:
    with pytest.raises(ConfigurationError, match="go together"):
        load_settings(EngineSettings, GOOD | {"TROTH_RISK_WEBHOOK_URL": "https://hooks.test"})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(EngineSettings, {"TROTH_RISK_TRIALS": "7", "TROTH_TYPO": "1"})
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "TROTH_RISK_TRIALS", "TROTH_TYPO"):
        assert name in str(caught.value)
