"""Report a rate over the broker: `python report_rate_over_amqp.py ASSET CURRENCY RATE` (`pip install aio-pika`).

In: AMQP_URL, the `amqpUrl` that `scripts/provider add` printed. Out: one line when the broker has confirmed the report.
What became of it, the judgement, is told over HTTP. The program below stands in docs/providers.md as well.
"""

import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import aio_pika

URL = os.environ["AMQP_URL"]
ME = unquote(urlsplit(URL).username or "")


async def report(asset: str, currency: str, rate: str) -> None:
    observed = datetime.now(UTC).isoformat()
    body = {"asset": asset, "currency": currency, "rate": rate, "observedAt": observed}
    async with await aio_pika.connect(URL) as connection:
        channel = await connection.channel(on_return_raises=True)
        # ensure=False: you may publish to the exchange, not look at it.
        exchange = await channel.get_exchange("eventhub.rates", ensure=False)
        message = aio_pika.Message(
            json.dumps(body).encode(),
            content_type="application/json",
            user_id=ME,
            message_id=str(uuid.uuid4()),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, f"rates.{ME}.{asset}")
    print(f"{asset}/{currency} at {rate} has arrived")


asyncio.run(report(*sys.argv[1:4]))
