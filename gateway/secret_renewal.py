"""While the master secret is rotated: what the database holds sealed under an older one is sealed anew.

In: the secrets of webhooks, page by page, and the private keys of ticket codes, each time a gateway begins with more
than one master secret. Out: the same secrets under the first of them, and one log line that says how many.
Must stay true: a secret stays what it is, and one that changes meanwhile is left to who changed it; once the last
gateway that began has said its line, nothing is sealed under an older master secret any more.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from contracts.messaging.sealing import Sealer
from contracts.runtime.tasks import end
from contracts.webhooks.secrets import SecretSealer, UnreadableSecret
from db.mysql.database import Database, is_away, is_transient
from db.tickets import keys
from db.webhooks import endpoints
from gateway.http.keys import DATABASE, SETTINGS

STEP = 100
AGAIN_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def secret_renewal(app: web.Application) -> AsyncIterator[None]:
    """Runs beside the gateway, once, if the settings name an older master secret."""
    sealer = SecretSealer(app[SETTINGS].secret.get_secret_value())
    if not sealer.rotating:
        yield
        return
    key_sealer = keys.key_sealer(app[SETTINGS].secret.get_secret_value())
    task = asyncio.create_task(
        _until_done(app[DATABASE], sealer, key_sealer), name="secret renewal"
    )
    yield
    await end(task)


async def _until_done(database: Database, sealer: SecretSealer, key_sealer: Sealer) -> None:
    while True:
        try:
            renewed = await renew(database, sealer)
            renewed_keys = await keys.reseal(database, key_sealer)
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
            log.warning("secrets.not_renewed", reason=repr(error)[:200])
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        log.info("secrets.renewed", webhooks=renewed, ticket_keys=renewed_keys)
        return


async def renew(database: Database, sealer: SecretSealer) -> int:
    """Seal what is not under the first master secret anew; how many secrets were."""
    return sum([await _renew_table(database, sealer, table) for table in endpoints.SEALED_TABLES])


async def _renew_table(database: Database, sealer: SecretSealer, table: str) -> int:
    renewed, after = 0, 0
    while rows := await endpoints.sealed(database, table, after, STEP):
        for row in rows:
            try:
                fresh = sealer.renewed(row.secret, row.user_id)
            except UnreadableSecret:
                log.error("webhook_secrets.unreadable", table=row.table, id=row.id)
                continue
            if fresh is not None:
                renewed += await endpoints.reseal(database, row, fresh)
        after = rows[-1].id
    return renewed
