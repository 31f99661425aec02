"""`python -m workers.order`: ends unpaid orders; several may run, one of them sweeps."""

from workers.order.handlers import handlers
from workers.order.sweep import EXPIRY
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services) -> Worker:
    """Commands, cancelled events, and the sweep beside them."""
    return Worker("order", handlers(services), queues=("order", "order.events"), jobs=[EXPIRY])


if __name__ == "__main__":
    main(make)
