"""What a run on another release of Debian is made of, and a machine that has no Python yet."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts.stack import other_release
from scripts.stack.home import CHECKOUT


def tool(folder: Path, name: str, script: str) -> None:
    """A command that does what the test needs."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_mirror_is_the_one_that_apt_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's own, not the security archive and nobody else's; without one it is said what to do."""
    lines = "Other|Tool|https://tools.test/\nDebian|Debian-Security|https://deb.test/security/\n"
    tool(tmp_path, "apt-get", f"printf '{lines}Debian|Debian|https://deb.test/debian/\n'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("EVENTHUB_DEBIAN_MIRROR", raising=False)
    assert other_release.mirror() == "https://deb.test/debian/"
    tool(tmp_path, "apt-get", f"printf '{lines}'")
    with pytest.raises(other_release.ReleaseError, match="EVENTHUB_DEBIAN_MIRROR"):
        other_release.mirror()
    monkeypatch.setenv("EVENTHUB_DEBIAN_MIRROR", "https://mine.test/")
    assert other_release.mirror() == "https://mine.test/"


def test_the_copy_is_the_checkout_and_keeps_what_was_made_there(tmp_path: Path) -> None:
    """New files come, deleted ones go; .venv and .run belong to the copy and are neither taken nor touched."""
    checkout, copy = tmp_path / "checkout", tmp_path / "copy"
    for path in ("db/one.py", ".venv/ours", ".run/ours", ".git/ours", "db/__pycache__/ours"):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text("new")
    for path in ("db/gone.py", ".venv/theirs", ".run/theirs", "gone.txt"):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text("old")
    other_release.copy_checkout(checkout, copy)
    found = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert found == {"db/one.py", ".venv/theirs", ".run/theirs"}


def test_folders_that_pip_installs_from_come_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By path or file URL, with what lies beside an index; a certificate or an address is no folder."""
    (tmp_path / "index" / "simple").mkdir(parents=True)
    root = Path(*tmp_path.parts[:3])
    monkeypatch.setattr(other_release, "PIP_FOLDERS", ())
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{tmp_path}/index/simple https://x.test/etc")
    assert other_release.pip_folders() == [str(root)]
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://x.test/etc/simple")
    assert other_release.pip_folders() == []


def test_only_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is made."""
    monkeypatch.setattr("scripts.stack.other_release.shutil.which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr("scripts.stack.other_release.os.geteuid", lambda: 1000)
    with pytest.raises(other_release.ReleaseError, match="root"):
        other_release.require_tools()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A machine without Python: the real first step, and the few tools that it may use."""
    (tmp_path / "stack").mkdir()
    real = (CHECKOUT / "scripts" / "stack" / "launch").read_text()
    launch = tmp_path / "stack" / "launch"
    launch.write_text(real.replace("/usr/bin/python3.11", str(tmp_path / "nowhere")))
    launch.chmod(0o755)
    for name in ("sh", "dirname", "readlink"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True)
        tool(tmp_path / "bin", name, f'exec {found.stdout.strip()} "$@"')
    return tmp_path


def launched(bare: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `launch status` there."""
    return subprocess.run(
        ["/bin/sh", bare / "stack" / "launch", "status"],
        env={"PATH": str(bare / "bin"), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


PYTHON = 'case "$1" in -c) exit 0 ;; *) echo "ran $3 $4" ;; esac'


def test_python_is_installed_where_it_is_missing(bare: Path) -> None:
    """As root on Debian: by apt, once, with nothing of apt's on stdout; then the command runs."""
    tool(bare / "bin", "id", "echo 0")
    python = bare / "bin" / "python3"
    install = f"printf '#!/bin/sh\\n%s\\n' '{PYTHON}' >{python}; /bin/chmod 755 {python}"
    said = f'echo "$@" >>{bare}/asked; echo noise'
    tool(bare / "bin", "apt-get", f'{said}; case "$*" in *install*) {install} ;; esac')
    done = launched(bare)
    assert (done.returncode, done.stdout) == (0, "ran status \n"), done.stderr
    asked = (bare / "asked").read_text().splitlines()
    assert [line.split()[-2:] for line in asked if "install" in line] == [
        ["python3", "python3-venv"]
    ]
    before = len(asked)
    assert launched(bare).returncode == 0
    assert len((bare / "asked").read_text().splitlines()) == before


@pytest.mark.parametrize("case", ["no root", "no apt", "failing", "named"])
def test_where_it_cannot_be_installed_it_is_said(bare: Path, case: str) -> None:
    """Exit code 1 and what is missing; a Python that was named is never replaced by another."""
    tool(bare / "bin", "id", "echo 1000" if case == "no root" else "echo 0")
    if case != "no apt":
        tool(bare / "bin", "apt-get", f"echo no mirror >&2; touch {bare}/asked; exit 100")
    done = launched(bare, **({"EVENTHUB_PYTHON": "/nowhere"} if case == "named" else {}))
    assert done.returncode == 1
    assert ("no mirror" if case == "failing" else "needs Python 3.11") in done.stderr
