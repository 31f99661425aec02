"""`python -m workers.inventory`: one inventory process; run as many as there are shards to share."""

from workers.inventory.handlers import HANDLERS
from workers.inventory.overdue import OVERDUE
from workers.inventory.shards import serve_shards
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(_: Services) -> Worker:
    """Inventory consumes the shards it holds leases of; one process looks for returns that were lost."""
    return Worker("inventory", HANDLERS, jobs=[serve_shards, OVERDUE])


if __name__ == "__main__":
    main(make)
