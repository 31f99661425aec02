"""A test's EventHub as the benches and the soak see a running one."""

from scripts.benching.systems.system import System
from tests.harness.scratch import JWT_KEYS, Scratch
from tests.harness.system import System as Running


def described_system(scratch: Scratch, started: Running) -> System:
    """Where its doors and servers are."""
    return System(
        gateway_url=started.url,
        mysql_url=scratch.mysql_url,
        redis_url=scratch.redis_url,
        amqp_url=scratch.amqp_url,
        amqp_management_url=scratch.amqp_management_url,
        jwt_keys=JWT_KEYS,
        shards=started.settings.shards,
    )
