"""A database of an earlier version, with orders in it, becomes one of today."""

import shutil
from pathlib import Path

from db.migrate import migrate
from db.migration_files import FOLDER, load
from db.mysql.database import Database

BEFORE_PENDING_RETURNS = 5
ORDERS = (("PENDING_PAYMENT", None), ("EXPIRED", None), ("CANCELLED", None), ("CANCELLED", 3))
"""(status, returned_version of its line); ids count from 1."""


async def test_orders_that_owe_tickets_owe_them_after_the_upgrade(
    new_url: str, tmp_path: Path
) -> None:
    """Ended before there was a table to say so: expired and cancelled ones without a return, and no others. What was
    bought is told by today's names."""
    for file in load():
        if file.version <= (BEFORE_PENDING_RETURNS,):
            shutil.copy(FOLDER / file.script, tmp_path)
    await migrate(new_url, folder=tmp_path)
    database = await Database.connect(new_url, size=1)
    await fill(database)
    await migrate(new_url)
    assert await database.read("SELECT order_id FROM pending_returns ORDER BY order_id") == [
        (2,),
        (3,),
    ]
    assert set(await database.read("SELECT event_name FROM orders")) == {("Concert",)}
    assert set(await database.read("SELECT ticket_type_name FROM order_details")) == {("Seat",)}
    await database.close()


async def fill(database: Database) -> None:
    """One ticket type, and an order of each kind."""
    now = "UTC_TIMESTAMP(6)"
    for statement in (
        "INSERT INTO users (id, email, password_hash, access_changed_at, created_at, updated_at) "
        f"VALUES (1, 'a@example.test', 'x', {now}, {now}, {now})",
        "INSERT INTO events (id, organizer_id, name, start_time, end_time, command_id, created_at, updated_at) "
        f"VALUES (1, 1, 'Concert', {now}, {now} + INTERVAL 1 HOUR, 'event-----------', {now}, {now})",
        "INSERT INTO ticket_types (id, event_id, name, price, currency, quota, available, max_per_order, command_id, "
        f"created_at, updated_at) VALUES (1, 1, 'Seat', 1, 'USD', 9, 6, 9, 'type------------', {now}, {now})",
    ):
        await database.write(statement)
    for number, (status, returned) in enumerate(ORDERS, start=1):
        command = f"order----------{number}"
        await database.write(
            "INSERT INTO orders (id, user_id, event_id, status, total_cost, currency, expires_at, command_id, "
            f"created_at, updated_at) VALUES (%s, 1, 1, %s, 1, 'USD', {now} + INTERVAL 1 HOUR, %s, {now}, {now})",
            number,
            status,
            command,
        )
        await database.write(
            "INSERT INTO order_details (order_id, ticket_type_id, quantity, unit_price, cost, taken_version, "
            f"returned_version, command_id, created_at, updated_at) VALUES (%s, 1, 1, 1, 1, 2, %s, %s, {now}, {now})",
            number,
            returned,
            command,
        )
