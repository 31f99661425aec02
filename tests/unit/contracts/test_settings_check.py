"""Settings that ruin everything are refused, those that are probably not meant are told."""

import pytest
from pydantic import ValidationError

from contracts.runtime.settings import Settings, load_settings
from contracts.runtime.settings_check import concerns, known_names, wrong_settings

GOOD = {
    "MYSQL_URL": "mysql://u:p@db/eventhub",
    "AMQP_URL": "amqp://u:p@mq/",
    "REDIS_URL": "redis://r/0",
    "secret": "a master secret for tests only and long enough",
}


def settings(**changes: object) -> Settings:
    """Settings as they come, but for these."""
    return Settings.model_validate(GOOD | changes)


@pytest.mark.parametrize(
    "secret",
    [
        "tiny",
        "a" * 32,
        "ab" * 40,
        "0123456789" * 4,
        "changeme-" * 5,
        "aaaaaaabbbbbbbcccccccddddddd123",
    ],
)
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    """Too short, one letter, a pattern: 32 of the same are no 32 bytes. It is not repeated."""
    with pytest.raises(ValidationError) as refused:
        settings(secret=secret)
    assert all(secret not in one["msg"] for one in refused.value.errors())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_band", 1000),
        ("rate_band", 1),
        ("trusted_proxies", "0.0.0.0/0"),
        ("trusted_proxies", "10.0.0.0/8,::/0"),
        ("trusted_proxies", "128.0.0.0/1"),
        ("trusted_proxies", "2000::/3"),
        ("command_deadline", "inf"),
        ("seat_lease", "inf"),
        ("feed_interval", "inf"),
    ],
)
def test_what_would_ruin_everything_is_refused(name: str, value: object) -> None:
    """A band that holds every price; proxies that are everybody; a time that never ends."""
    with pytest.raises(ValidationError):
        settings(**{name: value})


def test_a_refusal_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is written in the environment, a server's URL too; its value is not repeated."""
    for name, value in (("EVENTHUB_SECRET", GOOD["secret"]), ("EVENTHUB_RATE_BAND", "1234567")):
        monkeypatch.setenv(name, value)
    for name in ("MYSQL_URL", "AMQP_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValidationError) as refused:
        load_settings()
    told = wrong_settings(refused.value)
    assert "EVENTHUB_RATE_BAND: " in told
    assert "MYSQL_URL: " in told
    assert "EVENTHUB_MYSQL_URL" not in told
    assert "1234567" not in told


def test_networks_that_somebody_runs_are_proxies() -> None:
    """Private ones as a whole, a single host, a content network's."""
    settings(trusted_proxies="10.0.0.0/8,fc00::/7,192.0.2.7,173.245.48.0/20")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"argon2": "8,1,1"}, "EVENTHUB_ARGON2"),
        ({"argon2": "19456,1,1"}, "EVENTHUB_ARGON2"),
        ({"argon2": "9000000,2,1"}, "EVENTHUB_ARGON2"),
        ({"limits_off_for": "127.0.0.0/8,0.0.0.0/0"}, "EVENTHUB_LIMITS_OFF_FOR"),
        ({"access_ttl": 10**6}, "EVENTHUB_ACCESS_TTL"),
        ({"lockout_after": 1000}, "EVENTHUB_LOCKOUT_AFTER"),
        ({"webhook_allow_private": True}, "EVENTHUB_WEBHOOK_ALLOW_PRIVATE"),
        ({"order_ttl": 5000}, "EVENTHUB_ORDER_TTL"),
        ({"rate_fresh": 5000}, "EVENTHUB_RATE_FRESH"),
        ({"seat_lease": 1}, "EVENTHUB_SEAT_LEASE"),
    ],
)
def test_what_is_probably_not_meant_is_told(changes: dict[str, object], named: str) -> None:
    """One sentence that names the variable."""
    [concern] = concerns(settings(**changes), ())
    assert named in concern


@pytest.mark.parametrize("argon2", ["19456,2,1", "47104,1,4", "12288,3,1", "65536,3,4"])
def test_good_settings_are_not_talked_about(argon2: str) -> None:
    """The defaults, and what is at least as strong."""
    assert concerns(settings(argon2=argon2), known_names()) == []


def test_a_mistyped_name_is_told_with_the_one_that_was_meant() -> None:
    """The nearest one; what is like none is told alone; others' variables are no mistake. A file is not read."""
    names = [
        "EVENTHUB_ORDER_TLL",
        "EVENTHUB_LIMITS_OF_FOR",
        "EVENTHUB_XYZZY",
        "PATH",
        "EVENTHUB_SECRET_FILE",
    ]
    told = concerns(settings(), names)
    assert told == [
        "EVENTHUB_LIMITS_OF_FOR is no setting of EventHub; EVENTHUB_LIMITS_OFF_FOR is",
        "EVENTHUB_ORDER_TLL is no setting of EventHub; EVENTHUB_ORDER_TTL is",
        "EVENTHUB_SECRET_FILE is no setting of EventHub; EVENTHUB_SECRET is",
        "EVENTHUB_XYZZY is no setting of EventHub",
    ]
