"""`python -m workers.payment`: quotes and settlement; several may run side by side."""

from workers.payment.handlers import HANDLERS
from workers.payment.quote_expiry import OLD_QUOTES
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services) -> Worker:
    """Commands, the events that end quotes, and the sweep beside them."""
    return Worker("payment", HANDLERS, queues=("payment", "payment.events"), jobs=[OLD_QUOTES])


if __name__ == "__main__":
    main(make)
