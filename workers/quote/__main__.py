"""`python -m workers.quote`: rates; several may run, one polls the feed and one at a time hears the providers."""

from contracts.messaging.topology import RATES_QUEUE
from workers.quote.handlers import handlers
from workers.quote.polling import poll_feed
from workers.quote.providers import provider_messages
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services) -> Worker:
    """Commands, the providers' queue, and the feed beside them."""
    return Worker(
        "quote",
        handlers(services),
        queues=("quote", RATES_QUEUE),
        jobs=[poll_feed()],
        raw=lambda _: {RATES_QUEUE: provider_messages(services)},
    )


if __name__ == "__main__":
    main(make)
