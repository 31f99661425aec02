"""How texts compare is the schema's and the session's word, not the server's: the same on every generation."""

from collections.abc import AsyncIterator

import aiomysql
import pytest

from db.migrate import migrate
from db.mysql.database import COLLATION, Database, connection_arguments

PEOPLE = "utf8mb4_unicode_520_ci"
ALLOWED = {"utf8mb4_bin", PEOPLE}
WRITTEN_BY_PEOPLE = {
    ("events", "name"),
    ("gates", "name"),
    ("tickets", "holder_name"),
    ("events", "description"),
    ("events", "venue"),
    ("ticket_types", "name"),
    ("users", "email_folded"),  # for the admins' search, which finds every spelling
}
SERVERS_CHOICES = ("utf8mb4_unicode_ci", "utf8mb4_general_ci", "latin1_swedish_ci")


@pytest.fixture(params=SERVERS_CHOICES)
async def chosen(request: pytest.FixtureRequest, new_url: str) -> AsyncIterator[Database]:
    """A migrated database that was made with somebody else's default."""
    arguments = connection_arguments(new_url)
    connection = await aiomysql.connect(**(arguments | {"db": None}))
    cursor = await connection.cursor()
    await cursor.execute(f"CREATE DATABASE `{arguments['db']}` COLLATE {request.param}")
    connection.close()
    await migrate(new_url)
    opened = await Database.connect(new_url, size=1)
    yield opened
    await opened.close()


async def test_every_text_column_has_a_chosen_collation(chosen: Database) -> None:
    """Nothing is left to the server or the database: one that a later migration forgets is named here."""
    rows = await chosen.read(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
    )
    assert len(rows) > 60
    assert [row for row in rows if row[2] not in ALLOWED] == []
    assert {row[:2] for row in rows if row[2] == PEOPLE} == WRITTEN_BY_PEOPLE


async def test_new_columns_begin_with_ours(chosen: Database) -> None:
    """The database and its tables have one default, so that an added column does not take the server's."""
    rows = await chosen.read(
        "SELECT table_name, table_collation FROM information_schema.tables "
        "WHERE table_schema = DATABASE() UNION ALL SELECT schema_name, default_collation_name "
        "FROM information_schema.schemata WHERE schema_name = DATABASE()"
    )
    assert [row for row in rows if row[1] != COLLATION] == []


async def test_sessions_compare_as_we_say(chosen: Database) -> None:
    """Literals and casts get our collation, whatever the server's is."""
    rows = await chosen.read(
        "SELECT @@character_set_connection, @@collation_connection, COLLATION('x'), "
        "COLLATION(CAST(1.5 AS CHAR))"
    )
    assert rows == [("utf8mb4", COLLATION, COLLATION, COLLATION)]


async def test_texts_of_every_kind_meet_in_one_expression(chosen: Database) -> None:
    """Machines' columns, people's, casts, times and literals: in JSON, in a UNION, in a comparison."""
    await chosen.write(
        "INSERT INTO users (id, email, password_hash, access_changed_at, created_at, updated_at) "
        "VALUES (1, 'a@example.test', '!', '2026-01-01', '2026-01-01', '2026-01-01')"
    )
    await chosen.write(
        "INSERT INTO events (id, organizer_id, name, start_time, end_time, command_id, created_at, updated_at) "
        "VALUES (1, 1, 'Größe 🎺', '2026-01-01', '2026-01-02', x'00', '2026-01-01', '2026-01-01')"
    )
    joined = "FROM users u JOIN events e ON e.organizer_id = u.id"
    [[mixed]] = await chosen.read(
        "SELECT JSON_ARRAY(u.password_hash, CAST(u.id AS CHAR), u.email, u.status, e.name, e.start_time, %s) "
        f"{joined}",
        "ü",
    )
    for pair in (
        "u.password_hash, %s",
        "%s, e.name",
        "e.name, CAST(u.id AS CHAR)",
        "u.status, u.email",
    ):
        assert await chosen.read(f"SELECT CONCAT({pair}) {joined}".replace("%s", "'ü🎺'"))
    assert not await chosen.read(
        f"SELECT 1 {joined} WHERE u.password_hash = %s OR u.status = %s", "ü", "é"
    )
    assert (
        mixed
        == '["!", "1", "a@example.test", "ACTIVE", "Größe 🎺", "2026-01-01 00:00:00.000000", "ü"]'
    )
    rows = await chosen.read(
        f"SELECT 'x' {joined} UNION ALL SELECT u.status {joined} UNION ALL SELECT e.name {joined} "
        f"UNION ALL SELECT CAST(u.id AS CHAR) {joined}"
    )
    assert sorted(row[0] for row in rows) == ["1", "ACTIVE", "Größe 🎺", "x"]
    assert await chosen.read(f"SELECT 1 {joined} WHERE e.name <> u.email AND u.status <> e.name")


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Größe", "GRÖSSE", True),
        ("Café", "cafe", True),
        ("🎺", "🎻", False),
        ("𝒜", "𝒵", False),
        ("a", "b", False),
    ],
)
async def test_people_s_text_compares_as_people_do(
    database: Database, one: str, other: str, *, equal: bool
) -> None:
    """Case and accents do not count; characters beyond U+FFFF are as different as any."""
    [[same]] = await database.read(f"SELECT %s COLLATE {PEOPLE} = %s", one, other)
    assert bool(same) is equal
