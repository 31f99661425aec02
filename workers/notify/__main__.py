"""`python -m workers.notify`: the notify worker."""

from contracts.messaging.topology import NOTIFY_QUEUE
from contracts.webhooks.secrets import SecretSealer
from workers.notify.delivery import Sender
from workers.notify.handlers import Notifier, handlers
from workers.notify.lines import EventLines
from workers.notify.schedule import Policy
from workers.notify.sending import Poster
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services, policy: Policy | None = None) -> Worker:
    """The worker on these connections; `policy` replaces the numbers of sending (tests)."""
    settings = services.settings
    chosen = policy or Policy()
    poster = Poster(chosen, allow_private=settings.webhook_allow_private)
    sender = Sender(
        services.database,
        poster,
        SecretSealer(settings.secret.get_secret_value()),
        (settings.process, services.incarnation),
        chosen,
    )
    lines = EventLines(settings.process, settings.log_level)
    notifier = Notifier(
        services.database, lines, database_back=services.database_back, wake=sender.wake
    )

    async def send(services: Services) -> None:
        try:
            await sender.run(services.stop)
        finally:
            await poster.close()

    return Worker("notify", handlers(notifier), queues=(NOTIFY_QUEUE,), jobs=(send,))


if __name__ == "__main__":
    main(make)
