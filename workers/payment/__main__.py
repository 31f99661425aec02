"""`python -m workers.payment`: quotes and settlement; several may run side by side."""

from workers.payment.handlers import HANDLERS
from workers.payment.tidying import end_old_quotes
from workers.process import Services, Worker, main


def make(services: Services) -> Worker:
    """Commands, the events that end quotes, and the sweep beside them."""
    return Worker("payment", HANDLERS, queues=("payment", "payment.events"), jobs=[end_old_quotes])


if __name__ == "__main__":
    main(make)
