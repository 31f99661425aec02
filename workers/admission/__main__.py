"""`python -m workers.admission`: rules on scans; several may run side by side."""

from functools import partial

from db.tickets.keyring import Keyring
from db.tickets.keys import key_sealer
from workers.admission.handlers import handlers
from workers.admission.key_rotation import KEY_ROTATION
from workers.admission.scene import scene
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


def make(services: Services) -> Worker:
    """Scans, and the keys that they are verified with."""
    sealer = key_sealer(services.settings.secret.get_secret_value())
    keyring = Keyring(services.database, sealer)
    return Worker(
        "admission",
        handlers(keyring),
        queues=("admission",),
        jobs=[KEY_ROTATION],
        scene=partial(scene, sealer),
    )


if __name__ == "__main__":
    main(make)
