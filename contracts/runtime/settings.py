"""The environment every process reads: one frozen object, checked at start-up.

In: environment variables (`MYSQL_URL`, `AMQP_URL`, `REDIS_URL`, `EVENTHUB_*`). Out: `Settings`.
Must stay true: durations are seconds; a missing or weak secret stops the process before it opens a port.
"""

from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.standards.currencies import decimals_of

SECRET_BYTES_MIN = 32
"""RFC 7518 section 3.2: a key of the same size as the hash output or larger."""

SECRET_CHARACTERS_MIN = 8
"""Distinct ones: 32 random hexadecimal digits have fewer once in 10^7, a text that was typed to be long often."""
PROXY_PREFIX_MIN = {4: 8, 6: 7}
"""The widest networks that somebody runs alone: 10.0.0.0/8 and fc00::/7."""


def secrets_of(text: str) -> tuple[str, ...]:
    """The master secrets of a setting (`new,old`), in order: the first makes, all open."""
    parts = text.split(",")
    # One alone is taken as it is: a space at its end has always been part of it.
    return tuple(part.strip() for part in parts) if len(parts) > 1 else (text,)


class Settings(BaseSettings):
    """Everything a process of EventHub can be told.

    Raises pydantic.ValidationError when a required variable is missing or a value is out of range.
    """

    model_config = SettingsConfigDict(env_prefix="EVENTHUB_", frozen=True, extra="ignore")

    mysql_url: SecretStr = Field(validation_alias="MYSQL_URL")
    amqp_url: SecretStr = Field(validation_alias="AMQP_URL")
    amqp_management_url: SecretStr | None = Field(None, validation_alias="AMQP_MANAGEMENT_URL")
    redis_url: SecretStr = Field(validation_alias="REDIS_URL")

    secret: SecretStr
    """Master secret: signs command ids and envelopes (subkeys are derived, see `contracts.messaging.signing`).
    While it is rotated several, with commas between them: the first signs, all verify."""
    jwt_keys: SecretStr = SecretStr("")
    """`kid:base64url[,kid:base64url…]`; the first signs, all verify. Only the gateway needs it."""

    process: str = "eventhub-1"
    """Stable name of this process over restarts, e.g. `inventory-1`."""
    port: int = Field(8080, ge=0, le=65535)
    health_port: int = Field(0, ge=0, le=65535)
    """Where probes and metrics are answered, for gateways and workers alike; 0: any free port."""
    health_address: str = Field("127.0.0.1", min_length=1)
    """Whoever reaches it reads business figures: loopback, unless a scraper elsewhere needs it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: Path | None = None
    """This process's own log file, see `contracts.runtime.log_file`; None: standard output."""

    order_ttl: int = Field(900, ge=1)
    max_hold: int = Field(1800, ge=1)
    returns_overdue: int = Field(30, ge=1)
    """After so long an ended order's tickets come back without its event. A return takes a fraction of a second, on the
    retry ladder a few."""
    unpaid_orders: int = Field(3, ge=0)
    """Unpaid orders of an event that an account may have; 0: as many as it likes."""
    hold_cooldown: int = Field(60, ge=0)
    """Seconds for which an account gets no new order of an event after one of its orders there expired unpaid."""
    currencies: Annotated[tuple[str, ...], NoDecode] = ("USD", "EUR", "GBP", "JPY", "TWD")
    """What new ticket types may cost their money in; those that exist keep theirs."""
    quote_ttl: int = Field(900, ge=1)
    command_deadline: float = Field(60, gt=0, allow_inf_nan=False)
    seat_lease: float = Field(5, gt=0, allow_inf_nan=False)
    shards: int = Field(16, ge=1, le=256)

    access_ttl: int = Field(900, ge=1)
    refresh_ttl: int = Field(30 * 86400, ge=1)
    lockout_after: int = Field(5, ge=1)
    lockout: int = Field(900, ge=1)
    argon2: str = "19456,2,1"
    """KiB, passes, lanes."""
    limit_user: str = "100/s"
    limit_address: str = "20/s"
    limit_login: str = "10/min"
    connections_per_address: int = Field(100, ge=0)
    """Open at once from one address to one gateway process; 0: no limit."""
    streams_per_user: int = Field(20, ge=0)
    """Event streams open at once for one account at one gateway process; 0: no limit."""
    limits_off_for: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Networks of the proxies in front of the gateway: their X-Forwarded-For tells the client's address."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()

    feed: Literal["fake", "coingecko"] = "fake"
    feed_url: str = "https://api.coingecko.com/api/v3"
    feed_key: SecretStr | None = None
    feed_interval: float = Field(20, gt=0, allow_inf_nan=False)
    rate_fresh: int = Field(60, ge=1)
    rate_max_age: int = Field(600, ge=1)
    rate_band: float = Field(0.2, gt=0, lt=1)
    webhook_allow_private: bool = False

    topology: Literal["declare", "expect"] = "declare"
    """Whether this process declares exchanges and queues, or finds them declared: its broker user may not."""
    ticket_key_ttl: int = Field(30 * 86400, ge=2 * 3600)
    """How long a key signs ticket codes before the next one does."""

    queue_length: int = Field(20_000, ge=1)
    """Messages a command queue holds before it refuses more (`x-max-length`)."""
    outcome_retention: int = Field(7 * 86400, ge=86400)

    @field_validator(
        "limits_off_for", "trusted_proxies", "cors_origins", "currencies", mode="before"
    )
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("currencies")
    @classmethod
    def _known_currencies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [code for code in value if decimals_of(code) is None]
        if unknown or not value:
            raise ValueError(f"EVENTHUB_CURRENCIES names no currency of ISO 4217: {unknown}")
        return value

    @field_validator("secret")
    @classmethod
    def _strong_secret(cls, value: SecretStr) -> SecretStr:
        for number, secret in enumerate(secrets_of(value.get_secret_value()), start=1):
            which = "EVENTHUB_SECRET" if number == 1 else f"secret {number} of EVENTHUB_SECRET"
            if len(secret.encode()) < SECRET_BYTES_MIN:
                raise ValueError(f"{which} is shorter than {SECRET_BYTES_MIN} bytes")
            if len(set(secret)) < SECRET_CHARACTERS_MIN or secret in (secret + secret)[1:-1]:
                raise ValueError(f"{which} repeats itself: take 32 random bytes")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_somebody(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                network = ip_network(text)
            except ValueError:
                continue  # the gateway says what is wrong with it
            if network.prefixlen < PROXY_PREFIX_MIN[network.version]:
                raise ValueError(
                    f"EVENTHUB_TRUSTED_PROXIES: {text} is half the world; anybody in it may claim any address"
                )
        return value

    @cached_property
    def role(self) -> str:
        """The process's kind: `inventory-1` is an `inventory`."""
        return self.process.rpartition("-")[0] or self.process


def load_settings() -> Settings:
    """Read the environment. Raises pydantic.ValidationError naming every variable that is wrong."""
    return Settings()
