"""`python -m workers.order`: ends unpaid orders; several may run, one of them sweeps."""

from workers.order.handlers import handlers
from workers.order.sweep import expire_orders
from workers.process import Services, Worker, main


def make(services: Services) -> Worker:
    """Commands, cancelled events, and the sweep beside them."""
    return Worker(
        "order", handlers(services), queues=("order", "order.events"), jobs=[expire_orders]
    )


if __name__ == "__main__":
    main(make)
