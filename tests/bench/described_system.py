"""A test's EventHub as the benches and the soak see a running one."""

from scripts.benching.systems.system import System
from tests.harness.scratch import JWT_KEYS, Scratch
from tests.harness.system import System as Running


def as_benches_see(places: Scratch, started: Running) -> System:
    """Where its doors and servers are."""
    return System(
        gateway_url=started.url,
        mysql_url=places.mysql_url,
        redis_url=places.redis_url,
        amqp_url=places.amqp_url,
        amqp_management_url=places.amqp_management_url,
        jwt_keys=JWT_KEYS,
        shards=started.settings.shards,
    )
