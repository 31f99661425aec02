"""Ports of a home: chosen free once, then kept.

In: names. Out: port numbers on the loopback address. Must stay true: a name keeps its port as long
as nobody else took it while we were down; two names never share one.
"""

import random
import socket

# Below the range that Linux hands to outgoing connections (32768 and up), so that a server finds
# its port free again after a restart.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """True when nothing listens on the port (connections in TIME_WAIT do not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def pick(taken: set[int]) -> int:
    """Return a free port outside `taken`."""
    candidates = random.SystemRandom().sample(range(LOWEST, HIGHEST), 500)
    for port in candidates:
        if port not in taken and is_free(port) and is_free(port, "0.0.0.0"):  # noqa: S104 - the gateway listens on all
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST}")


def assign(ports: dict[str, int], names: list[str], running: set[str]) -> None:
    """Give every name a port, in place.

    A kept port that somebody else occupies is replaced, unless its owner is in `running`: then it is
    ours that occupies it.
    """
    for name in names:
        kept = ports.get(name)
        if kept is None or (name not in running and not is_free(kept)):
            ports[name] = pick(set(ports.values()))
