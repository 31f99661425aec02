"""Which kind of process may do what on the broker: the whole of its user's rights.

In: nothing, this is data. Out: `BROKER_RIGHTS`, read by `contracts.messaging.accounts`, which makes the users.
Must stay true: a process reads its own queues and writes to the exchanges that it publishes to, and nothing else; none
may declare or delete what is in `contracts.messaging.topology` (set-up declares it), nor write to the default
exchange, which reaches every queue; `tests/integration/rights` tries the rest.

Source: RabbitMQ manual, "Access Control": `queue.bind` asks for write on the queue and read on the exchange, `purge`
for read, a passive declaration for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.messaging.quorum_probe import PROBE_QUEUE
from contracts.messaging.topology import (
    BROADCAST_EXCHANGE,
    CATALOGUE_QUEUE,
    COMMANDS_EXCHANGE,
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    EVENTS_EXCHANGE,
    NOTIFY_QUEUE,
    RATES_QUEUE,
    RETRY_STEPS,
    retry_exchange,
)

_OWN_BROADCAST_QUEUES = r"news\..+"
"""A gateway's queues of the broadcast: it declares and binds them itself."""
_PUT_ASIDE = (DEAD_EXCHANGE, *(retry_exchange(seconds) for seconds in RETRY_STEPS))
"""Where a consumer puts what it cannot deal with (now)."""


@dataclass(frozen=True, slots=True)
class BrokerRights:
    """Names or patterns of exchanges and queues. tag: what the management API lets the user see."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    declares: tuple[str, ...] = ()
    tag: str = ""

    def permissions(self) -> dict[str, str]:
        """As the management API takes them. Everybody may ask the probe's queue whether the broker decides."""
        return {
            "configure": _any_of((PROBE_QUEUE, *self.declares)),
            "write": _any_of(self.writes),
            "read": _any_of((PROBE_QUEUE, *self.reads)),
        }


def _any_of(names: tuple[str, ...]) -> str:
    patterns = [name if "\\" in name else name.replace(".", r"\.") for name in names]
    return f"^({'|'.join(patterns)})$" if patterns else "^$"


BROKER_RIGHTS: Mapping[str, BrokerRights] = {
    "gateway": BrokerRights(
        reads=(_OWN_BROADCAST_QUEUES, BROADCAST_EXCHANGE),
        writes=(_OWN_BROADCAST_QUEUES, COMMANDS_EXCHANGE),
        declares=(_OWN_BROADCAST_QUEUES,),
        tag="management",  # how full queues are: the Retry-After of BUSY
    ),
    "inventory": BrokerRights(
        reads=(r"inventory\.\d+(\.returns)?", CATALOGUE_QUEUE), writes=_PUT_ASIDE
    ),
    "order": BrokerRights(reads=("order", "order.events"), writes=_PUT_ASIDE),
    "payment": BrokerRights(reads=("payment", "payment.events"), writes=_PUT_ASIDE),
    "admission": BrokerRights(reads=("admission",), writes=_PUT_ASIDE),
    "quote": BrokerRights(reads=("quote", RATES_QUEUE), writes=_PUT_ASIDE),
    "notify": BrokerRights(reads=(NOTIFY_QUEUE,), writes=_PUT_ASIDE),
    "relay": BrokerRights(
        reads=(DEAD_QUEUE,), writes=(EVENTS_EXCHANGE, BROADCAST_EXCHANGE, *_PUT_ASIDE)
    ),
}
