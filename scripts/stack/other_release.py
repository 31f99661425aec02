"""`scripts/test debian12|debian13 [what scripts/test takes]`: the tests on another release of Debian.

In: a release's name, what to run there. Out: pytest's own output and exit code. Must stay true: the release is made by
debootstrap from the mirror that this machine's apt uses, in `.run/<release>`, and begins without Python and servers:
what EventHub's own commands install there is what a fresh machine gets. It runs in namespaces of its own: its mounts
and its processes end with this command, and nothing of this checkout is changed. Needs root, debootstrap and unshare.
Runs on a bare Python.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
RELEASES = {"debian12": "bookworm", "debian13": "trixie"}
INSIDE = "/srv/eventhub"
"""Where the copy of the checkout is in the other release."""
MADE_THERE = {".venv", ".run"}
"""What the copy keeps from one run to the next."""
NOT_COPIED = (".git", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", *MADE_THERE)
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
MACHINES_BUNDLE = "/etc/ssl/machine.crt"
"""Whom this machine trusts, under a name that no package of the release writes to."""
PIP_FOLDERS = ("/etc/pip.conf", "/etc/xdg/pip", "~/.config/pip", "~/.pip")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = re.compile(r"PIP_\w+|EVENTHUB_\w+|\w+_proxy|LANG", re.IGNORECASE)

# $1: the release's folder. $2: folders of this machine that pip installs from, each on a line. Then the command.
ENTER = """
root=$1 folders=$2
shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
echo "$folders" | while read -r folder; do
    [ -z "$folder" ] && continue
    mkdir -p "$root$folder"
    mount --bind -o ro "$folder" "$root$folder"
done
# Not exec: this shell is the namespace's first process and buries what is orphaned there.
chroot "$root" sh -c 'cd "$0" && exec "$@"' INSIDE "$@"
exit $?
""".replace("INSIDE", INSIDE)


class ReleaseError(Exception):
    """The other release cannot be made or run; the message says what to do."""


def main() -> int:
    """Run the command."""
    name, *words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    try:
        require_tools()
        (CHECKOUT / ".run").mkdir(mode=0o700, exist_ok=True)
        with (CHECKOUT / ".run" / f"{name}.lock").open("w") as lock:
            _hold(lock.fileno(), name)
            root = CHECKOUT / ".run" / name
            make(root, RELEASES[name])
            settle(root)
            return enter(root, ["scripts/test", *words])
    except (ReleaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def require_tools() -> None:
    """Raise ReleaseError unless this machine can make and run another release."""
    missing = [tool for tool in ("debootstrap", "unshare", "apt-get") if not shutil.which(tool)]
    if missing:
        raise ReleaseError(
            f"missing: {', '.join(missing)} (apt-get install debootstrap util-linux)"
        )
    if os.geteuid() != 0:
        raise ReleaseError("another release can be made and entered by root alone")


def _hold(lock: int, name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ReleaseError(f"a run on {name} in this checkout is under way already") from None


def make(root: Path, suite: str) -> None:
    """Make the release's folder, unless it is there as a whole."""
    if root.exists():
        return
    fresh = root.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    print(f"installing Debian {suite} into {root} (a minute)", file=sys.stderr, flush=True)
    log = root.with_suffix(".log")
    with log.open("wb") as output:
        argv = ["debootstrap", "--variant=minbase", suite, str(fresh), mirror()]
        done = subprocess.run(argv, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise ReleaseError(f"debootstrap failed; the end of {log}:\n{log.read_text()[-2000:]}")
    fresh.rename(root)


def mirror() -> str:
    """Return where this machine's apt gets Debian's packages from."""
    if chosen := os.environ.get("EVENTHUB_DEBIAN_MIRROR"):
        return chosen
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = [uri for line in said.splitlines() for *who, uri in [line.split("|")] if who == _DEBIAN]
    if not found:
        raise ReleaseError(
            "apt knows no mirror of Debian: `apt-get update`, or set EVENTHUB_DEBIAN_MIRROR"
        )
    return found[0]


_DEBIAN = ["Debian", "Debian"]


def settle(root: Path) -> None:
    """Bring in the checkout as it is now, and how this machine reaches its network and pip's packages."""
    copy_checkout(CHECKOUT, root / INSIDE.lstrip("/"))
    for path in ("/etc/resolv.conf", "/etc/hosts", *PIP_FOLDERS):
        _copy(Path(path).expanduser(), root)
    if Path(BUNDLE).exists():
        shutil.copyfile(BUNDLE, root / MACHINES_BUNDLE.lstrip("/"))
    proxies = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    lines = [line for line in proxies.stdout.splitlines() if "::proxy" in line.lower()]
    (root / "etc/apt/apt.conf.d/90machine").write_text("\n".join([*lines, ""]))


def copy_checkout(checkout: Path, target: Path) -> None:
    """Make `target` the checkout's files, those that git does not know yet included."""
    target.mkdir(parents=True, exist_ok=True)
    for path in target.iterdir():
        if path.name in MADE_THERE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    shutil.copytree(checkout, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)


def _trust(root: Path) -> dict[str, str]:
    there = (root / MACHINES_BUNDLE.lstrip("/")).exists()
    return {"PIP_CERT": MACHINES_BUNDLE} if there else {}


def _copy(path: Path, root: Path) -> None:
    """Copy a file or folder to the same place in the release, if it is here."""
    target = root / str(path).lstrip("/")
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    elif path.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(path, target)


def pip_folders() -> list[str]:
    """Return the folders of this machine that pip's settings name: the first two steps of each path.

    An index of files keeps its packages beside it, not in it.
    """
    said = [value for key, value in os.environ.items() if key.startswith("PIP_")]
    for folder in map(Path, map(os.path.expanduser, PIP_FOLDERS)):
        files = folder.glob("*.conf") if folder.is_dir() else [folder]
        said += [file.read_text() for file in files if file.exists()]
    words = re.findall(r"(?:file://|(?<![\w:/]))(/[\w.+/-]+)", "\n".join(said))
    folders = {Path("/", *Path(word).parts[1:3]) for word in words if Path(word).is_dir()}
    return sorted(str(folder) for folder in folders)


def enter(root: Path, command: list[str]) -> int:
    """Run a command in the release, at the copy of the checkout; return its exit code."""
    environment = {key: value for key, value in os.environ.items() if PASSED_ON.fullmatch(key)}
    environment |= {"HOME": "/root", "PATH": PATH, **_trust(root)}
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    inside = ["sh", "-c", ENTER, "enter", str(root), "\n".join(pip_folders()), *command]
    process = subprocess.Popen([*unshare, *inside], env=environment)
    # A terminal's Ctrl-C reaches those inside as well: they tidy up, and are waited for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.kill())
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
