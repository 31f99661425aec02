"""A small disk of a test's own, which it can fill up.

In: a folder, a size. Out: the folder on a file system of that size (in memory), until the block ends.
Must stay true: only a folder of the test's own is mounted over, and nothing stays mounted. Needs root.
"""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no room for anybody."""
        with self._ballast.open("ab") as file:
            size = file.tell()
            step = shutil.disk_usage(self.folder).free
            while step:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    # All or nothing, and somebody else has taken a page since we looked: what is left is less.
                    step //= 2

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def small_disk(folder: Path, mebibytes: int) -> AsyncIterator[Disk]:
    """Mount one over `folder`, which must be there and empty."""
    assert not os.listdir(folder), "something would be hidden"
    await _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        await _run("umount", "--lazy", str(folder))


async def _run(*argv: str) -> None:
    tool = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await tool.communicate()
    assert tool.returncode == 0, said.decode()
