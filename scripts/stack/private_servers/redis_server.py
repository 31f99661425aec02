"""The private Redis: cache, locks and push; never the truth, so it writes nothing to disk.

In: a home, its port and password. Out: a Program and the URL. Must stay true: loopback only, with a
password; its memory is bounded, and what it then lets go is what nobody has used for longest: pages and
keys of a quarter of an hour ago, never a seat lock or a push, which were written within the last seconds.
"""

import os
import shutil

from scripts.stack.home import Home, SetupError, State, write_private
from scripts.stack.supervised.programs import Program

NAME = "redis"
MEMORY = {
    "maxmemory": "256mb",
    # Every key that EventHub sets has an end (tests/integration/commands/test_redis_keys.py), so each may go; without
    # an eviction a full Redis would refuse locks and pushes instead.
    "maxmemory-policy": "volatile-lru",
    "maxmemory-samples": "10",
}


def binary() -> str | None:
    """Return the server's path, None when Redis is not installed."""
    return shutil.which("redis-server")


def url(state: State, secrets: dict[str, str]) -> str:
    """Return the URL of database 0."""
    return f"redis://:{secrets['redisPassword']}@127.0.0.1:{state.ports[NAME]}/0"


def prepare(home: Home, state: State, secrets: dict[str, str]) -> Program:
    """Write the settings and say how to run it."""
    server = binary()
    if server is None:
        raise SetupError("no Redis: install redis-server, or set REDIS_URL")
    folder = home.root / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    lines = {
        "bind": "127.0.0.1",
        "port": state.ports[NAME],
        "requirepass": secrets["redisPassword"],
        "databases": 256,
        "dir": f'"{folder}"',
        "save": '""',
        "appendonly": "no",
        **MEMORY,
        "daemonize": "no",
    }
    text = "".join(f"{key} {value}\n" for key, value in lines.items())
    write_private(folder / "redis.conf", text)
    argv = (server, os.fspath(folder / "redis.conf"))
    return Program(NAME, argv, folder=folder, rank=1, stamp=text)
