"""`python -m workers.payment`: quotes and settlement; several may run side by side."""

from workers.payment.handlers import HANDLERS
from workers.payment.quote_expiry import OLD_QUOTES
from workers.payment.scene import scene
from workers.payment.ticket_backfill import TICKET_BACKFILL
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services) -> Worker:
    """Commands, the events that end quotes, the sweep and the back-fill of tickets beside them."""
    queues = ("payment", "payment.events")
    jobs = [OLD_QUOTES, TICKET_BACKFILL]
    return Worker("payment", HANDLERS, queues=queues, jobs=jobs, scene=scene)


if __name__ == "__main__":
    main(make)
