"""The private database server: MariaDB, or MySQL where that is what the machine has.

In: a home, its port and password. Out: a Program and the URL. Must stay true: a commit that was
acknowledged survives a power cut (innodb_flush_log_at_trx_commit=1, doublewrite on; no binary log
to keep in step); REPEATABLE READ; loopback only; the password stands in files of mode 0600 alone.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from scripts.stack.home import Home, SetupError, State, write_private
from scripts.stack.supervised.programs import Program

NAME = "mysql"
DATABASE = "eventhub"
USER = "eventhub"
SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)


def binary() -> str | None:
    """Return the server's path, None when none is installed."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which("mariadbd", path=folders) or shutil.which("mysqld", path=folders)


def url(state: State, secrets: dict[str, str]) -> str:
    """Return the URL of EventHub's database on this server."""
    return f"mysql://{USER}:{secrets['mysqlPassword']}@127.0.0.1:{state.ports[NAME]}/{DATABASE}"


def prepare(home: Home, state: State, secrets: dict[str, str]) -> Program:
    """Write the settings, make the data folder if there is none, and say how to run it."""
    server = binary()
    if server is None:
        raise SetupError("no database server: install mariadb-server, or set MYSQL_URL")
    folder = home.root / "mysql"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    settings, accounts = _settings(folder, state), _accounts(secrets)
    write_private(folder / "my.cnf", settings)
    write_private(folder / "init.sql", accounts)
    if not (folder / "data").exists():
        _make_data(server, folder)
    argv = (server, f"--defaults-file={folder / 'my.cnf'}")
    stamp = settings + accounts  # What it reads at its start: another text calls for a restart.
    return Program(NAME, argv, folder=folder, rank=1, stop_seconds=60, stamp=stamp)


def _settings(folder: Path, state: State) -> str:
    lines = {
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "datadir": folder / "data",
        "tmpdir": folder / "tmp",
        "socket": Path(state.sockets) / "mysql.sock",
        "pid-file": folder / "mysql.pid",
        "init-file": folder / "init.sql",
        "bind-address": "127.0.0.1",
        "port": state.ports[NAME],
        "max-connections": 600,
        # Whoever may log in gets no way from tables to files: the server may run as root.
        "secure-file-priv": folder / "tmp",
        "local-infile": "OFF",
        "character-set-server": "utf8mb4",
        "collation-server": "utf8mb4_bin",
        "default-time-zone": "+00:00",
        "transaction-isolation": "REPEATABLE-READ",
        "sql-mode": SQL_MODE,
        "innodb-buffer-pool-size": "512M",
        "innodb-flush-log-at-trx-commit": 1,
        "innodb-doublewrite": "ON",
        "innodb-lock-wait-timeout": 5,
        "loose-mysqlx": "OFF",
        "loose-performance-schema": "OFF",
    }
    body = "".join(f"{key}={value}\n" for key, value in lines.items())
    return f"[mysqld]\nskip-name-resolve\nskip-log-bin\n{body}"


def _accounts(secrets: dict[str, str]) -> str:
    """SQL that the server runs at each start, before it accepts anybody; one statement a line."""
    password, root = secrets["mysqlPassword"], secrets["mysqlRootPassword"]
    statements = [
        f"ALTER USER IF EXISTS 'root'@'localhost' IDENTIFIED BY '{root}';",
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;",
    ]
    for host in ("127.0.0.1", "localhost"):
        account = f"'{USER}'@'{host}'"
        statements += [
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';",
            f"ALTER USER {account} IDENTIFIED BY '{password}';",
            f"GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;",
        ]
    return "\n".join(statements) + "\n"


def _make_data(server: str, folder: Path) -> None:
    """Make the system tables beside the final place, then move them there as a whole."""
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    run = subprocess.run(  # Not the init-file: the accounts need a server that runs.
        _make_data_argv(server, folder, fresh), capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SetupError(f"the database's system tables failed:\n{run.stdout}{run.stderr}".strip())
    fresh.rename(folder / "data")


def _make_data_argv(server: str, folder: Path, fresh: Path) -> list[str]:
    user = pwd.getpwuid(os.getuid()).pw_name
    common = [f"--datadir={fresh}", f"--tmpdir={folder / 'tmp'}", f"--user={user}"]
    installer = shutil.which("mariadb-install-db")
    if not server.endswith("mariadbd") or installer is None:
        return [server, "--no-defaults", "--initialize-insecure", *common]
    return [
        installer,
        "--no-defaults",
        *common,
        "--auth-root-authentication-method=socket",
        f"--auth-root-socket-user={user}",
        "--skip-test-db",
        "--skip-name-resolve",
    ]
