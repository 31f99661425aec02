"""Keeps the gateway's port ours while gateways come and go.

In: a port. Out: nothing; it binds the port beside the gateways (SO_REUSEPORT), never listens, and so
never gets a connection. Must stay true: as long as it runs nobody else can take the port, not even
in the second in which the last gateway is restarted. Without it another checkout of the same user
could: its gateways would share the port with ours, and each would answer half of the other's calls.
"""

import signal
import socket
import sys


def keep(port: int) -> list[socket.socket]:
    """Bind the port on all addresses of both families. Raises OSError when another has it."""
    kept = [_bound(socket.AF_INET, "0.0.0.0", port)]  # noqa: S104 - where the gateway listens
    if socket.has_dualstack_ipv6():
        kept.append(_bound(socket.AF_INET6, "::", port))
    return kept


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.bind((address, port))
    return bound


def main() -> None:
    """Keep the port until SIGTERM."""
    kept = keep(int(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"keeping port {kept[0].getsockname()[1]}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
