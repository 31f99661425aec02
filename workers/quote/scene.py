"""The quote worker's self-test: a report judged, one accepted after all; and whether a rate can be had."""

from hashlib import sha256

from contracts.commands import AcceptRate, PublishRate
from contracts.rates import Reason
from contracts.runtime.times import to_wire
from db import rates
from db.accounts import provider_reports, providers
from db.rates import PutAside
from workers.runtime.self_test import NAME, Stage
from workers.runtime.services import Services

ASSET = "SELFTEST"
"""An asset of its own: real rates are read and written by others at any time."""


async def scene(stage: Stage) -> None:
    """Everything that the quote worker is asked for, once. What is said of the reports is not the point."""
    provider, admin = await stage.account("PROVIDER"), await stage.account("ADMIN")
    at = to_wire(stage.now)
    said = {"asset": ASSET, "currency": "USD", "rate": "1.25", "observed_at": at}
    digest = sha256(at.encode()).digest()
    await provider_reports.note_message(stage.transaction, digest, digest, stage.now)
    await providers.reporters(stage.transaction, names=[NAME])
    await stage.decide(PublishRate, provider, **said)
    put = PutAside(NAME, reason=Reason.OUT_OF_BAND, detail=NAME, **said)
    [put_aside] = await rates.put_aside(stage.transaction, [put], stage.now)
    await stage.decide(AcceptRate, admin, quarantine_id=put_aside)


async def a_rate_can_be_had(services: Services) -> str | None:
    """Why nothing could be quoted now, None when something could."""
    oldest = services.settings.rate_max_age
    if await rates.any_younger_than(services.database, oldest):
        return None
    return f"no rate is younger than {oldest} s: nothing can be quoted"
