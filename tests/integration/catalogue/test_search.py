"""The list of events: what a search finds, on the database that is really there, and what runs when."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from contracts.runtime.times import to_sql, to_wire
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import Api, System, running
from tests.harness.waiting import eventually

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[Scratch]:
    """A catalogue of this module's own: lists show everything that is in it."""
    async with scratch_servers() as places:
        yield places


@pytest.fixture(scope="module")
async def database(world: Scratch) -> AsyncIterator[Database]:
    opened = await Database.connect(world.mysql_url, size=2)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def system(world: Scratch) -> AsyncIterator[System]:
    """A gateway and inventory."""
    async with running(world, workers=("inventory", "relay")) as started:
        yield started


@pytest.fixture
async def organizer(database: Database) -> Person:
    return await person(database, "ORGANIZER")


async def made(api: Api, name: str, begins: int, lasts: int = 3, **more: str) -> int:
    """An event that begins `begins` hours from now; its id."""
    start = NOW + timedelta(hours=begins)
    times = {"startTime": to_wire(start), "endTime": to_wire(start + timedelta(hours=lasts))}
    answer = await api.post("/api/events", {"name": name, **times, **more})
    assert answer.status == 201, answer.body
    created: int = answer.body["id"]
    return created


async def listed(api: Api, query: str) -> list[int]:
    """The ids that a list shows."""
    answer = await api.get(f"/api/events?{query}")
    assert answer.status == 200, answer.body
    return [event["id"] for event in answer.body["data"]]


async def found(api: Api, words: str) -> list[int]:
    """The ids that a search finds."""
    return await listed(api, f"q={quote(words)}")


async def test_a_search_finds_the_same_on_every_database(system: System, organizer: Person) -> None:
    """Spellings of one word find each other's events and share no page with other words."""
    api, anyone = system.api(organizer), system.api()
    street = await made(api, "Straßenfest", 10)
    trumpet = await made(api, "Brass 🎺", 11)
    saxophone = await made(api, "Brass 🎷", 12)
    asia = await made(api, "五月天演唱會", 13, venue="臺北小巨蛋")
    for words in ("Straßen", "Strassen", "STRASSEN"):
        assert await found(anyone, words) == [street], words
    assert await found(anyone, "🎺") == [trumpet]
    assert await found(anyone, "🎷 brass") == [saxophone]
    assert await found(anyone, "brass") == [trumpet, saxophone]
    assert await found(anyone, "巨蛋 演唱") == [asia]
    assert await found(anyone, "🎻") == []


async def test_a_changed_name_is_found_by_its_new_words_alone(
    system: System, organizer: Person
) -> None:
    """The words that went are gone, those that stayed stay."""
    api, anyone = system.api(organizer), system.api()
    event = await made(api, "Winterreise evening", 20)
    changed = await api.patch(f"/api/events/{event}", {"name": "Sommerreise evening"})
    assert changed.status == 200, changed.body
    assert await found(anyone, "winterreise") == []
    assert await found(anyone, "sommerreise evening") == [event]


async def test_an_event_without_terms_gets_them(
    system: System, organizer: Person, database: Database
) -> None:
    """An event of before the index, or one that an older release has renamed, is found soon."""
    api, anyone = system.api(organizer), system.api()
    event = await made(api, "Unnamed", 21)
    await database.write("DELETE FROM event_terms WHERE event_id = %s", event)
    await database.write(
        "UPDATE events SET name = 'Oldtimer', searched_version = 0 WHERE id = %s", event
    )

    async def has_terms() -> bool:
        return bool(
            await database.read(
                "SELECT 1 FROM event_terms WHERE event_id = %s AND term = 'oldtimer'", event
            )
        )

    await eventually(has_terms, within=30)
    assert await found(anyone, "oldtimer") == [event]


async def test_lists_show_what_is_not_over_soonest_first(
    system: System, organizer: Person, database: Database
) -> None:
    """A running event is there; one that is over is only in the past; without descriptions."""
    api, anyone = system.api(organizer), system.api()
    running_now = await made(api, "Timing one", 1, description="long text")
    later = await made(api, "Timing two", 40)
    over = await made(api, "Timing three", 30)
    longer_over = await made(api, "Timing four", 31)
    for event, begins in ((running_now, -1), (over, -30), (longer_over, -60)):
        start = NOW + timedelta(hours=begins)
        await database.write(
            "UPDATE events SET start_time = %s, end_time = %s WHERE id = %s",
            to_sql(start),
            to_sql(start + timedelta(hours=3)),
            event,
        )
    assert await found(anyone, "timing") == [running_now, later]
    everything = await listed(anyone, "limit=100")
    assert everything[0] == running_now
    assert over not in everything
    assert await listed(anyone, "q=timing&past=true") == [over, longer_over]
    assert (await listed(anyone, "past=true"))[:2] == [over, longer_over]
    now = quote(to_wire(NOW))
    assert await listed(anyone, f"q=timing&from={now}") == [running_now, later]
    early = quote(to_wire(NOW - timedelta(hours=31)))
    assert await listed(anyone, f"from={early}&to={now}") == [over, running_now]
    shown = await anyone.get("/api/events?q=timing")
    assert all("description" not in event for event in shown.body["data"])


async def test_pages_of_both_directions_miss_and_repeat_nothing(
    system: System, organizer: Person, database: Database
) -> None:
    """What runs, what is to come, what is over: each shown once over pages of two."""
    api, anyone = system.api(organizer), system.api()
    ids = await asyncio.gather(*(made(api, "Leafing", 50 + n // 2) for n in range(9)))
    for past, query in ((False, "q=leafing"), (True, "q=leafing&past=true")):
        if past:
            await database.write(
                "UPDATE events SET start_time = start_time - INTERVAL 100 DAY, "
                "end_time = end_time - INTERVAL 100 DAY WHERE name = 'Leafing'"
            )
        seen: list[int] = []
        cursor = ""
        while True:
            answer = await anyone.get(f"/api/events?{query}&limit=2{cursor}")
            seen += [event["id"] for event in answer.body["data"]]
            if not answer.body["hasMore"]:
                break
            cursor = f"&cursor={answer.body['nextCursor']}"
        assert sorted(seen) == sorted(ids)
        assert len(seen) == len(ids)


@pytest.mark.parametrize(
    "query",
    ["q=%FF", "q=%C3", "q=%ED%A0%80", "q=" + "+".join(f"{n}word" for n in range(10, 23)), "past=1"],
)
async def test_a_question_that_is_none_is_refused(system: System, query: str) -> None:
    """Bytes that are no UTF-8, half a character, a lone surrogate, too many words."""
    assert (await system.api().get(f"/api/events?{query}")).code == "INVALID"
