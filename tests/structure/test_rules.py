"""Each rule of scripts/structure.py finds its bad example and leaves the good one alone."""

import pytest

from scripts.structure import (
    RULES,
    TREE_RULES,
    TreeRule,
    check,
    parse,
)

DOC = '"""A story."""\n'
# rule: (path, bad text, path, good text)
EXAMPLES = {
    "file-length": ("db/long.py", DOC + "x = 1\n" * 399, "db/long.py", DOC + "x = 1\n" * 398),
    "function-length": (
        "db/a.py",
        DOC + "def f():\n" + "    x = 1\n" * 60,
        "db/a.py",
        DOC + "async def f():\n" + "    x = 1\n" * 59,
    ),
    "module-docstring": ("gateway/a.py", "x = 1\n", "gateway/a.py", DOC),
    "module-name": ("db/utils.py", DOC, "db/rates.py", DOC),
    "import-layers": (
        "db/a.py",
        DOC + "from gateway import x\n",
        "db/a.py",
        DOC + "from contracts import x\n",
    ),
    "import-below": (
        "contracts/runtime/a.py",
        DOC + "from contracts.commands import x\n",
        "contracts/runtime/a.py",
        DOC + "from contracts.runtime.times import x\n",
    ),
    "silent-except": (
        "db/a.py",
        DOC + "try:\n    x\nexcept OSError:\n    pass\n",
        "db/a.py",
        DOC + "try:\n    x\nexcept OSError:\n    pass  # It has gone already.\n",
    ),
    "type-ignore": (
        "db/a.py",
        DOC + "x = 1  # type: ignore[misc]\n",
        "db/a.py",
        DOC + "x = 1  # type: ignore[misc]  # the stub is wrong\n",
    ),
    "sleeping-test": (
        "tests/unit/test_a.py",
        DOC + "import time\ntime.sleep(1)\n",
        "scripts/a.py",
        DOC + "import time\ntime.sleep(1)\n",
    ),
    "skipped-test": (
        "tests/unit/test_a.py",
        DOC + "import pytest\n@pytest.mark.skip\ndef test(): ...\n",
        "tests/unit/test_a.py",
        DOC + "import pytest\n@pytest.mark.full\ndef test(): ...\n",
    ),
    "lock-without-hash": (
        "requirements.lock",
        "aiohttp==3.14.5\n",
        "requirements.lock",
        "aiohttp==3.14.5 \\\n    --hash=sha256:00\n    # via aiormq\n",
    ),
    "foreign-path": ("docs/a.md", "see /ho" + "me/x/y\n", "docs/a.md", "see .run/logs\n"),
}


def _found(path: str, text: str) -> set[str]:
    return {finding.rule for finding in check(parse(path, text))}


@pytest.mark.parametrize("rule", [rule.__name__.replace("_", "-") for rule in RULES])
def test_a_rule_finds_its_example_and_nothing_else(rule: str) -> None:
    """The bad example breaks exactly this rule, the good one none."""
    bad_path, bad, good_path, good = EXAMPLES[rule]
    assert _found(bad_path, bad) == {rule}
    assert _found(good_path, good) == set()


# rule: (files that break it together, files that do not)
TREES = {
    "crowded-folder": (
        {f"gateway/http/m{number}.py": DOC for number in range(16)},
        {
            "gateway/http/__init__.py": DOC,
            **{f"gateway/http/m{number}.py": DOC for number in range(15)},
            **{f"tests/unit/m{number}.py": DOC for number in range(16)},
        },
    ),
    "import-circle": (
        {
            "db/a.py": DOC + "from db.b import x\n",
            "db/b.py": DOC + "def f():\n    from db import c\n",
            "db/c.py": DOC + "import db.a\n",
        },
        {
            "db/a.py": DOC + "from db.b import x\n",
            "db/b.py": DOC + "from db import c\n",
            "db/c.py": DOC + "import asyncio\n",
        },
    ),
    "repeated-class": (
        {"db/a.py": DOC + "class Row: ...\n", "gateway/a.py": DOC + "class Row: ...\n"},
        {
            "db/a.py": DOC + "class Row: ...\nclass _Part: ...\n",
            "gateway/a.py": DOC + "class Answer: ...\nclass _Part: ...\n",
            "tests/unit/test_a.py": DOC + "class Row: ...\n",
        },
    ),
}


@pytest.mark.parametrize("rule", TREE_RULES, ids=lambda rule: rule.__name__)
def test_a_rule_about_files_together_finds_its_example(rule: TreeRule) -> None:
    """The bad tree breaks exactly this rule, the good one none."""
    name = rule.__name__.replace("_", "-")
    bad, good = ([parse(path, text) for path, text in tree.items()] for tree in TREES[name])
    assert {finding.rule for one in TREE_RULES for finding in one(bad)} == {name}
    assert not [finding for one in TREE_RULES for finding in one(good)]


@pytest.mark.parametrize(
    ("path", "line", "allowed"),
    [
        ("contracts/runtime/a.py", "from contracts.messaging.link import x", False),
        ("contracts/messaging/a.py", "from contracts.runtime.times import x", True),
        ("contracts/a.py", "from contracts.runtime.times import x", True),
        ("gateway/http/a.py", "from gateway.resources.orders import x", False),
        ("gateway/http/a.py", "from gateway.http.replies import x", True),
        ("gateway/submission/a.py", "from gateway.http.problems import x", True),
        ("gateway/submission/a.py", "from gateway.resources import x", False),
        ("db/mysql/a.py", "from db.orders import x", False),
        ("db/mysql/a.py", "from db.mysql.statements import x", True),
        ("db/a.py", "from db.mysql.database import x", True),
    ],
)
def test_packages_know_nothing_of_what_stands_on_them(path: str, line: str, allowed: bool) -> None:
    """Inside the product's packages, too, imports go one way."""
    assert ("import-below" not in _found(path, f"{DOC}{line}\n")) is allowed


@pytest.mark.parametrize(
    ("path", "line", "allowed"),
    [
        ("contracts/a.py", "import db.mysql.database", False),
        ("contracts/a.py", "from contracts import b", True),
        ("db/a.py", "import workers", False),
        ("db/a.py", "import aiomysql", True),
        ("gateway/a.py", "import db.mysql.database", True),
        ("gateway/a.py", "from workers.order import rules", False),
        ("workers/runtime/processing.py", "from gateway import x", False),
        ("workers/runtime/processing.py", "from scripts import x", False),
        ("workers/order/a.py", "from workers.inventory import x", False),
        ("workers/order/a.py", "from workers import inventory", False),
        ("workers/order/a.py", "from ..inventory import x", False),
        ("workers/order/a.py", "from . import rules", True),
        ("workers/order/a.py", "from workers.runtime.handlers import x", True),
        ("workers/order/a.py", "from db.orders import x", True),
        ("scripts/a.py", "from gateway import x", True),
    ],
)
def test_layers(path: str, line: str, allowed: bool) -> None:
    """gateway and workers -> db -> contracts, and no worker knows another."""
    assert ("import-layers" not in _found(path, f"{DOC}{line}\n")) is allowed


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://registry.example/simple",
        "--find-links /wheels",
        "a @ file:///wheels/a.whl",
        "a==1 --hash=sha256:00 # from http://registry.example",
    ],
)
def test_a_lock_names_no_place(line: str) -> None:
    """A lock that says where to fetch from would bind everybody to somebody's machine."""
    assert "lock-without-hash" in _found("requirements.lock", f"{line} \\\n")


@pytest.mark.parametrize("handler", ["except:", "except Exception:", "except BaseException:"])
def test_a_comment_does_not_excuse_a_wide_except(handler: str) -> None:
    """Dropping every exception is wrong with whatever reason."""
    text = f"{DOC}try:\n    x\n{handler}  # whatever\n    pass  # whatever\n"
    assert "silent-except" in _found("db/a.py", text)
