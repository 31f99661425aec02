"""Pairs that have a price already: a provider's first report of any other waits for an admin."""

from datetime import timedelta
from decimal import Decimal

from contracts.rates import Rate
from db import rates
from db.mysql.database import Database, Transaction

SEED = "seed"
"""A feed that spoke an hour ago and never again: nobody is held against it beside somebody fresher."""


async def priced(database: Database, asset: str, price: str = "100", currency: str = "USD") -> str:
    """The asset, once it has this price from an hour ago."""

    async def work(transaction: Transaction) -> None:
        at = await transaction.now() - timedelta(hours=1)
        await transaction.execute(
            "DELETE FROM rates WHERE asset = %s AND currency = %s AND source = %s",
            asset,
            currency,
            SEED,
        )
        await rates.store(
            transaction, [(Rate(asset, currency, SEED, Decimal(price), at, at), None)]
        )

    await database.run(work)
    return asset
