"""`python -m workers.payment`: quotes and settlement; several may run side by side."""

from workers.payment.handlers import HANDLERS
from workers.payment.quote_expiry import OLD_QUOTES
from workers.payment.scene import scene
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services) -> Worker:
    """Commands, the events that end quotes, and the sweep beside them."""
    queues = ("payment", "payment.events")
    return Worker("payment", HANDLERS, queues=queues, jobs=[OLD_QUOTES], scene=scene)


if __name__ == "__main__":
    main(make)
