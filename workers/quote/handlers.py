"""What the quote worker deals with: message -> function. Providers' own queue: `providers.provider_messages`."""

from collections.abc import Mapping

from contracts.commands import AcceptRate, PublishRate
from workers.quote.commands import accept_rates, publish_rates
from workers.runtime.handlers import CommandHandler, Handler
from workers.runtime.services import Services


def handlers(services: Services) -> Mapping[str, Handler]:
    """What the quote worker deals with."""
    return {
        PublishRate.TYPE: CommandHandler(PublishRate, publish_rates(services)),
        AcceptRate.TYPE: CommandHandler(AcceptRate, accept_rates(services)),
    }
