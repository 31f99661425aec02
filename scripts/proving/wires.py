"""Where packets begin and end on the wires that the fault proxy stands on, and which ones are worth losing.

In: bytes as they come. Out: whole packets; predicates that know a COMMIT, a publisher confirm, a consumer's ack.
Must stay true: joining what was split gives back every byte; a stream is never held back for more than one packet.

Sources: MySQL internals manual, "Protocol basics" (3 bytes length, 1 byte sequence; COM_QUERY is 0x03);
AMQP 0-9-1 specification, section 4.2 (frame: type, channel, size, payload, 0xCE), sections 1.7 and 1.8 (classes
queue, 50, and basic, 60).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Matches = Callable[[bytes], bool]
Wire = Literal["mysql", "amqp", "redis"]

_MYSQL_HEADER, _COM_QUERY = 4, 0x03
_AMQP_GREETING, _AMQP_HEADER, _METHOD = b"AMQP\x00\x00\x09\x01", 7, 1
_BASIC, _PUBLISH, _DELIVER, _ACK = 60, 40, 60, 80
_QUEUE, _PURGE_OK = 50, 31


@dataclass(slots=True)
class Splitter:
    """Cuts one direction of one connection into packets. Redis' protocol is passed on as it comes."""

    wire: Wire
    _buffer: bytearray = field(default_factory=bytearray)
    _greeted: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are complete now."""
        if self.wire == "redis":
            return [data]
        self._buffer += data
        packets: list[bytes] = []
        while (size := self._next()) is not None and len(self._buffer) >= size:
            packets.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return packets

    def _next(self) -> int | None:
        """Length of the packet at the front, None while that cannot be told."""
        buffer = self._buffer
        if self.wire == "mysql":
            if len(buffer) < _MYSQL_HEADER:
                return None
            return _MYSQL_HEADER + int.from_bytes(buffer[:3], "little")
        if not self._greeted and buffer[:1] == b"A":
            self._greeted = len(buffer) >= len(_AMQP_GREETING)
            return len(_AMQP_GREETING)
        if len(buffer) < _AMQP_HEADER:
            return None
        return _AMQP_HEADER + int.from_bytes(buffer[3:7], "big") + 1


def statement(text: bytes) -> Matches:
    """A MySQL query that begins so."""

    def matches(packet: bytes) -> bool:
        return packet[4:5] == bytes([_COM_QUERY]) and packet[5:].lstrip().startswith(text)

    return matches


def holding(text: bytes) -> Matches:
    """A MySQL query that holds such a statement, alone or among others of one round trip."""

    def matches(packet: bytes) -> bool:
        return packet[4:5] == bytes([_COM_QUERY]) and text in packet

    return matches


def _method(kind: int, method: int) -> Matches:
    wanted = kind.to_bytes(2, "big") + method.to_bytes(2, "big")

    def matches(packet: bytes) -> bool:
        return packet[:1] == bytes([_METHOD]) and packet[_AMQP_HEADER : _AMQP_HEADER + 4] == wanted

    return matches


COMMIT = statement(b"COMMIT")
basic_ack = _method(_BASIC, _ACK)
"""Upwards a consumer's acknowledgement, downwards a publisher confirm."""
basic_publish = _method(_BASIC, _PUBLISH)
basic_deliver = _method(_BASIC, _DELIVER)
queue_purged = _method(_QUEUE, _PURGE_OK)
"""Downwards the answer to the quorum probe."""
