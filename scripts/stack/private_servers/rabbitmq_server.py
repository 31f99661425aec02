"""The private message broker: RabbitMQ with its management plugin, and its own port mapper (epmd).

In: a home, its ports and secrets. Out: two Programs and the URLs. Must stay true: nothing is shared
with another broker on the machine (node name, every port, cookie, epmd); the guest account does not
exist; loopback only. The node is called `<name>@localhost`, so the host's own name need not resolve.
"""

import secrets as random_source
import shutil
from pathlib import Path

from scripts.stack.home import Home, SetupError, State, write_private
from scripts.stack.supervised.programs import Program

NAME = "rabbitmq"
EPMD = "epmd"
MANAGEMENT = "rabbitmq-management"
DISTRIBUTION = "rabbitmq-distribution"
PORTS = [NAME, MANAGEMENT, DISTRIBUTION, EPMD]
USER = "eventhub"


def binary() -> Path | None:
    """Return the start script of the release itself, None when RabbitMQ is not installed.

    Debian's /usr/sbin/rabbitmq-server is a wrapper that insists on the package's own account.
    """
    releases = [
        *sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")),
        Path("/opt/rabbitmq/sbin/rabbitmq-server"),
    ]
    found = [path for path in releases if path.exists()]
    if found:
        return found[-1]
    on_path = shutil.which("rabbitmq-server")
    return Path(on_path).resolve() if on_path else None


def url(state: State, secrets: dict[str, str]) -> str:
    """Return the AMQP URL of the broker's default virtual host."""
    return f"amqp://{USER}:{secrets['amqpPassword']}@127.0.0.1:{state.ports[NAME]}/"


def management_url(state: State, secrets: dict[str, str]) -> str:
    """Return the URL of the management API, credentials included."""
    return f"http://{USER}:{secrets['amqpPassword']}@127.0.0.1:{state.ports[MANAGEMENT]}"


def prepare(home: Home, state: State, secrets: dict[str, str]) -> list[Program]:
    """Write the settings and say how to run the broker and its port mapper."""
    server, mapper = binary(), shutil.which("epmd")
    if server is None or mapper is None:
        raise SetupError("no message broker: install rabbitmq-server, or set AMQP_URL")
    state.node = state.node or f"eventhub-{random_source.token_hex(4)}"
    folder = home.root / "rabbitmq"
    (folder / "log").mkdir(parents=True, exist_ok=True)
    settings = _settings(state, secrets["amqpPassword"])
    write_private(folder / "rabbitmq.conf", settings)
    write_private(folder / "enabled_plugins", "[rabbitmq_management].\n")
    write_private(folder / "env.conf", "")
    write_private(folder / ".erlang.cookie", secrets["erlangCookie"], mode=0o400)
    epmd_port = str(state.ports[EPMD])
    return [
        Program(EPMD, (mapper, "-port", epmd_port, "-address", "127.0.0.1"), rank=1),
        Program(NAME, (str(server),), _environment(folder, state), folder, 2, 30, settings),
    ]


def _settings(state: State, password: str) -> str:
    lines = {
        "listeners.tcp.1": f"127.0.0.1:{state.ports[NAME]}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": state.ports[MANAGEMENT],
        "default_user": USER,
        "default_pass": password,
        "default_user_tags.administrator": "true",
        "log.console": "true",
        "log.console.level": "info",
        "log.file": "false",
        # Ten side by side must fit in one machine; flow control begins here, not at 40 % of it.
        "vm_memory_high_watermark.absolute": "2GB",
        "disk_free_limit.absolute": "200MB",
        # Ours are 512 KiB at most. A consumer holds 32 of whatever a provider sends, and the default is 128 MB.
        "max_message_size": 8 * 1024 * 1024,
        # Quorum queues hold in memory what their write-ahead log holds. The default, 512 MB, makes the broker grow by
        # a gigabyte before it first lets go; with this it stays where it is after minutes.
        "raft.wal_max_size_bytes": 64 * 1024 * 1024,
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def _environment(folder: Path, state: State) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"{state.node}@localhost",
        "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_MNESIA_DIR": str(folder / "data" / "node"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_DIST_PORT": str(state.ports[DISTRIBUTION]),
        "ERL_EPMD_PORT": str(state.ports[EPMD]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # The start script then becomes the Erlang machine instead of staying as its parent.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # Not the caller's: another shell would look like another program, and restart the broker.
        "PATH": f"{_folder_of('erl')}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }


def _folder_of(program: str) -> Path:
    return Path(shutil.which(program) or "/usr/bin/erl").parent
