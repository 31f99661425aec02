"""What admission deals with: message -> function."""

from collections.abc import Mapping

from contracts.commands import RecordScans
from db.tickets.keyring import Keyring
from workers.admission.recording import recorder
from workers.runtime.handlers import CommandHandler, Handler


def handlers(keyring: Keyring) -> Mapping[str, Handler]:
    """Scans, as many to a transaction as it may hold."""
    return {
        RecordScans.TYPE: CommandHandler(
            RecordScans, recorder(keyring), weight=lambda command: len(command.scans)
        ),
    }
