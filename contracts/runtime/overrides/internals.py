"""What a module knows of the insides of a library, so that a change of them is noticed.

In: a package, the versions that were tested, dotted names of functions or classes with a digest of their source.
Out: what is different now. Must stay true: nothing of this runs in production; it is data for the tests.
"""

import hashlib
import importlib
import importlib.metadata
import inspect
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LibraryInternals:
    """The insides of one package. sources: `module:name.of.it` -> digest of its source text."""

    package: str
    versions: tuple[str, ...]
    sources: Mapping[str, str]

    def changes(self) -> list[str]:
        """What is not as it was tested; empty when all is."""
        version = importlib.metadata.version(self.package)
        found = []
        if version not in self.versions:
            found.append(
                f"{self.package} {version} was not tested, only {', '.join(self.versions)}"
            )
        for name, digest in self.sources.items():
            now = source_digest(name)
            if now != digest:
                found.append(f"{self.package} {version}: {name} is now {now}, it was {digest}")
        return found


def source_digest(name: str) -> str:
    """The digest of a function's or class's source; "gone" when there is none of that name."""
    module, _, path = name.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in path.split("."):
            found = inspect.getattr_static(found, part)
    except (ImportError, AttributeError):
        return "gone"
    if isinstance(found, property):
        found = found.fget
    text = inspect.getsource(found)  # type: ignore[arg-type]  # a function or a class, as the name says
    return hashlib.sha256(text.encode()).hexdigest()[:16]
