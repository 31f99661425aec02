"""Checkouts to run the scripts in, and the servers that these are told to use.

In: the four URLs of the environment, or nothing. Out: fixtures. Must stay true: every checkout that a
test made is brought down again, whatever happened in between.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.stack.home import Home
from scripts.stack.private_servers import servers
from tests.setup import substitute

MakeCheckout = Callable[..., substitute.Checkout]


@pytest.fixture(scope="session")
def server_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URLs of servers that run: those of the environment, else of a set of our own."""
    given = servers.given_urls(dict(os.environ))
    if set(given) == set(servers.URLS):
        yield given
        return
    home = Home(tmp_path_factory.mktemp("servers"))
    home.prepare()
    state = home.load()
    try:
        urls = servers.start(home, state)
        os.environ.update(urls)
        yield urls
    finally:
        servers.stop(home, home.load())


@pytest.fixture(scope="module")
def make_checkout(
    server_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeCheckout]:
    """Makes checkouts with substitute processes; at the module's end all are down."""
    made: list[substitute.Checkout] = []

    def make(folder: Path | None = None) -> substitute.Checkout:
        root = (folder or tmp_path_factory.mktemp("c")) / "eventhub"
        made.append(substitute.make(root))
        return made[-1]

    yield make
    for checkout in made:
        checkout.run("down", "--purge")


@pytest.fixture
def checkout(make_checkout: MakeCheckout) -> Iterator[substitute.Checkout]:
    """One checkout, brought down at the end of the test."""
    fresh = make_checkout()
    yield fresh
    fresh.run("down", "--purge")


@pytest.fixture(scope="module")
def running(make_checkout: MakeCheckout) -> substitute.Checkout:
    """A checkout that is up; its tests leave it running."""
    fresh = make_checkout()
    fresh.up()
    return fresh


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[substitute.Checkout]:
    """A checkout whose own servers and own processes, the real ones, are up."""
    fresh = substitute.make_real(tmp_path_factory.mktemp("real") / "eventhub")
    try:
        fresh.up()
        yield fresh
    finally:
        fresh.run("down", "--purge")
