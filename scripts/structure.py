"""The rules of this repository that no linter knows, each a function from a file to findings.

In: a checkout. Out: `path:line: rule: what is wrong`, exit code 1 when there is any. Must stay true:
every rule in RULES and TREE_RULES has an example in tests/structure that it must find.
"""

import ast
import functools
import graphlib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE_LINES_MAX = 399
FUNCTION_LINES_MAX = 60
LAYERS = {
    "contracts": set[str](),
    "db": {"contracts"},
    "gateway": {"contracts", "db"},
    "workers": {"contracts", "db"},
}
"""Package of the product -> packages of ours that it may import, besides itself."""
BELOW = {
    "contracts.runtime": ("contracts.messaging", "contracts"),
    "gateway.http": (
        "gateway.availability",
        "gateway.caching",
        "gateway.documents",
        "gateway.resources",
        "gateway.submission",
    ),
    "gateway.availability": ("gateway.submission", "gateway.resources", "gateway.documents"),
    "gateway.caching": ("gateway.submission", "gateway.resources", "gateway.documents"),
    "gateway.submission": ("gateway.resources", "gateway.documents"),
    "gateway.resources": ("gateway.documents",),
    "db.mysql": ("db",),
    "db.redis": ("db.messages", "db.webhooks", "db.accounts", "db.audit"),
}
"""Package -> packages beside it that stand above it: it knows nothing of them. A package alone means its own modules
and not those of the packages inside it."""
MODULES_MAX = 15
OURS = {*LAYERS, "scripts", "tests"}
BAD_NAMES = {"util", "utils", "helper", "helpers", "misc", "common"}
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


@dataclass(frozen=True)
class Source:
    """One file of the repository. tree: the parsed module, None for what is no Python."""

    path: str
    text: str
    tree: ast.Module | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The path without its suffix, split: ("workers", "order", "handlers")."""
        return Path(self.path).with_suffix("").parts


@dataclass(frozen=True)
class Finding:
    """What is wrong, and where."""

    path: str
    line: int
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.detail}"


Found = Iterator[tuple[int, str]]
Rule = Callable[[Source], Found]
TreeRule = Callable[[Sequence[Source]], Iterator[Finding]]


def file_length(source: Source) -> Found:
    """A file has less than 400 lines."""
    lines = source.text.count("\n")
    if source.tree and lines > FILE_LINES_MAX:
        yield lines, f"{lines} lines; split it (at most {FILE_LINES_MAX})"


def function_length(source: Source) -> Found:
    """A function can be seen whole: at most 60 lines, its decorators not counted."""
    for node in walk(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {lines} lines (at most {FUNCTION_LINES_MAX})"


def module_docstring(source: Source) -> Found:
    """A module opens by telling its story; an empty `__init__.py` has none."""
    if source.tree and source.text.strip() and not ast.get_docstring(source.tree):
        yield 1, "no module docstring"


def module_name(source: Source) -> Found:
    """A module is named after what it is about."""
    bad = BAD_NAMES.intersection(source.parts)
    if source.tree and bad:
        yield 1, f"{', '.join(sorted(bad))} says nothing about what is inside"


def import_layers(source: Source) -> Found:
    """gateway and workers -> db -> contracts; one worker never imports another."""
    package = source.parts[0]
    for line, name in imports(source):
        words = name.split(".")
        if words[0] == package:
            if package == "workers" and _another_worker(source.parts, words):
                yield line, f"worker {source.parts[1]} imports {name}"
        elif package in LAYERS and words[0] in OURS - LAYERS[package]:
            yield line, f"{package} imports {name}"


def _another_worker(here: tuple[str, ...], words: list[str]) -> bool:
    """True when a module inside one worker's folder names a module inside another's."""
    inside = len(here) > 2
    return inside and words[1:2] != [here[1]] and _is_worker(words)


def _is_worker(words: list[str]) -> bool:
    folder = Path(__file__).resolve().parents[1] / "workers"
    return len(words) > 1 and words[1] != "runtime" and (folder / words[1]).is_dir()


def import_below(source: Source) -> Found:
    """A package that others stand on does not import them."""
    for package, above in BELOW.items():
        if ".".join(source.parts[:-1]) == package:
            for line, name in imports(source):
                if any(_is_of(name, one) for one in above):
                    yield line, f"{package} imports {name}"


def _is_of(name: str, package: str) -> bool:
    """Whether a name is of that package; of a top level package only what stands in no package inside it."""
    if not name.startswith(f"{package}."):
        return False
    inside = name[len(package) + 1 :].split(".")[0]
    return "." in package or f"{package}.{inside}" not in _packages()


@functools.cache
def _packages() -> frozenset[str]:
    """The packages inside the product's packages."""
    root = Path(__file__).resolve().parents[1]
    return frozenset(
        ".".join(init.parent.relative_to(root).parts)
        for top in LAYERS
        for init in (root / top).rglob("__init__.py")
    )


def silent_except(source: Source) -> Found:
    """No exception is dropped without a word on why."""
    lines = source.text.splitlines()
    for node in walk(source):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body):
            said = "".join(lines[node.lineno - 1 : node.end_lineno])
            wide = node.type is None or getattr(node.type, "id", "") in {
                "Exception",
                "BaseException",
            }
            if wide or "#" not in said:
                yield node.lineno, "an exception is dropped silently"


def type_ignore(source: Source) -> Found:
    """A type check is only switched off by code and with its reason."""
    for line, comment in comments(source):
        if re.match(r"#\s*type:\s*ignore", comment) and not re.match(
            r"#\s*type:\s*ignore\[[\w, -]+\]\s+#\s*\w", comment
        ):
            yield line, "write it as `type: ignore[code]  # reason`"


def sleeping_test(source: Source) -> Found:
    """A test waits for a condition with a deadline, not for time."""
    if source.parts[0] != "tests":
        return
    named = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "time"
        and "sleep" in {a.name for a in node.names}
        for node in walk(source)
    )
    for node in walk(source):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "time.sleep" or (named and called == "sleep"):
                yield node.lineno, "time.sleep in a test"


def skipped_test(source: Source) -> Found:
    """No test is skipped or expected to fail."""
    if source.parts[0] != "tests":
        return
    for node in walk(source):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and "pytest" in ast.unparse(node):
            yield node.lineno, f"{ast.unparse(node)} in a test"


def lock_without_hash(source: Source) -> Found:
    """A lock pins each package with its hashes, and names no place to fetch it from."""
    if not source.path.endswith(".lock"):
        return
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"https?://|file:|--(extra-)?index-url|--find-links|-i\s", line):
            yield number, "a lock names no host and no folder"
        if re.match(r"[A-Za-z0-9]", line) and not ("==" in line and line.rstrip().endswith("\\")):
            yield number, "not pinned with a hash"


def foreign_path(source: Source) -> Found:
    """The repository does not know on which machine it was written."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"(?<![\w.])/(?:home|root|Users)/\w", line):
            yield number, "a path of somebody's machine"


def crowded_folder(sources: Sequence[Source]) -> Iterator[Finding]:
    """A folder of the product holds what belongs together: at most 15 modules."""
    modules: dict[str, list[Source]] = {}
    for source in sources:
        if source.tree and source.parts[0] in LAYERS and source.parts[-1] != "__init__":
            modules.setdefault("/".join(source.parts[:-1]), []).append(source)
    for folder, inside in modules.items():
        if len(inside) > MODULES_MAX:
            detail = f"{len(inside)} modules; make packages (at most {MODULES_MAX})"
            yield Finding(folder, 1, "crowded-folder", detail)


def import_circle(sources: Sequence[Source]) -> Iterator[Finding]:
    """No module needs itself, by whatever way round; an import for types alone counts, too."""
    modules = {module_of(source): source for source in sources if source.tree}
    wanted = {name: _wanted(source, modules) for name, source in modules.items()}
    try:
        graphlib.TopologicalSorter(wanted).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        yield Finding(modules[circle[0]].path, 1, "import-circle", " -> ".join(circle))


def module_of(source: Source) -> str:
    """The dotted name of a module."""
    return ".".join(source.parts).removesuffix(".__init__")


def _wanted(source: Source, modules: Mapping[str, Source]) -> set[str]:
    """The modules of ours that a module imports."""
    found = set()
    for _, name in imports(source):
        while name and name not in modules:
            name = name.rpartition(".")[0]
        if name and name != module_of(source):
            found.add(name)
    return found


def repeated_class(sources: Sequence[Source]) -> Iterator[Finding]:
    """A class name of the product means one class."""
    first: dict[str, str] = {}
    for source in sources:
        if source.tree and source.parts[0] in LAYERS:
            for node in source.tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    if node.name in first:
                        detail = f"{node.name} is a class of {first[node.name]}, too"
                        yield Finding(source.path, node.lineno, "repeated-class", detail)
                    first.setdefault(node.name, source.path)


TREE_RULES: tuple[TreeRule, ...] = (crowded_folder, import_circle, repeated_class)
"""Rules about files together."""
RULES: tuple[Rule, ...] = (
    file_length,
    function_length,
    module_docstring,
    module_name,
    import_layers,
    import_below,
    silent_except,
    type_ignore,
    sleeping_test,
    skipped_test,
    lock_without_hash,
    foreign_path,
)


def walk(source: Source) -> Iterator[ast.AST]:
    """Yield every node of a module, nothing for other files."""
    return ast.walk(source.tree) if source.tree else iter(())


def comments(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and text of every comment of a module."""
    if source.tree:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything imported, `from . import x` resolved."""
    for node in walk(source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            here = source.parts[: len(source.parts) - node.level] if node.level else ()
            base = ".".join([*here, *filter(None, [node.module])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def parse(path: str, text: str) -> Source:
    """Return a Source. Raises SyntaxError for Python that is none."""
    return Source(path, text, ast.parse(text) if path.endswith(".py") else None)


def check(source: Source) -> list[Finding]:
    """Return what all rules find in one file."""
    return [
        Finding(source.path, line, rule.__name__.replace("_", "-"), detail)
        for rule in RULES
        for line, detail in rule(source)
    ]


def files(checkout: Path) -> list[str]:
    """Return the files of the repository: those git knows or would add, else all but hidden ones."""
    git = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    if git.returncode == 0:
        return [name for name in git.stdout.splitlines() if (checkout / name).is_file()]
    found = (path.relative_to(checkout) for path in checkout.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not any(p.startswith(".") for p in path.parts))


def main() -> int:
    """Check this checkout."""
    checkout = Path(__file__).resolve().parents[1]
    sources: list[Source] = []
    for name in files(checkout):
        try:
            sources.append(parse(name, (checkout / name).read_text()))
        except UnicodeDecodeError:
            continue  # A picture or an archive: none of these rules is about it.
    findings = [finding for source in sources for finding in check(source)]
    findings += [finding for rule in TREE_RULES for finding in rule(sources)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
