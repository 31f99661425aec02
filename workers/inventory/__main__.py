"""`python -m workers.inventory`: one inventory process; run as many as there are shards to share."""

from workers.inventory.handlers import HANDLERS
from workers.inventory.shards import serve_shards
from workers.process import Services, Worker, main


def make(_: Services) -> Worker:
    """Inventory consumes the shards it holds leases of."""
    return Worker("inventory", HANDLERS, jobs=[serve_shards])


if __name__ == "__main__":
    main(make)
