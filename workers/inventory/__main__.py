"""`python -m workers.inventory`: one inventory process; run as many as there are shards to share."""

from contracts.messaging.topology import CATALOGUE_QUEUE
from workers.inventory.handlers import HANDLERS
from workers.inventory.overdue import OVERDUE
from workers.inventory.scene import scene
from workers.inventory.searching import SEARCH
from workers.inventory.shards import serve_shards
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(_: Services) -> Worker:
    """Inventory consumes the shards it holds leases of and what is said of events; one process looks for returns that
    were lost, and for events that lack their search terms."""
    return Worker(
        "inventory",
        HANDLERS,
        first=(CATALOGUE_QUEUE,),
        jobs=[serve_shards, OVERDUE, SEARCH],
        scene=scene,
    )


if __name__ == "__main__":
    main(make)
