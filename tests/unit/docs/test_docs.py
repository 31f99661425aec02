"""What the documents say is there is there."""

import re
from pathlib import Path

import pytest

from contracts.runtime.settings import Settings
from scripts.proving.prove import EVERYTHING, NOT_QUICK

ROOT = Path(__file__).parents[3]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples/README.md",
]


def test_every_setting_is_documented() -> None:
    """docs/operations.md names each variable that a process reads."""
    page = (ROOT / "docs/operations.md").read_text()
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"EVENTHUB_{name.upper()}"
        assert f"`{variable}`" in page, variable


def test_every_table_says_how_long_it_is_kept() -> None:
    """docs/operations.md has a row for each table that a migration makes: nothing grows unnoticed."""
    page = (ROOT / "docs/operations.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    made = {
        name
        for file in (ROOT / "db/migrations").glob("V*.sql")
        for name in re.findall(r"^CREATE TABLE (\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(made) > 20
    assert made - named == set()


def test_the_program_for_providers_is_the_example() -> None:
    """docs/providers.md shows examples/report_rate_over_amqp.py as it is, without its docstring."""
    (shown,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/providers.md").read_text(), re.DOTALL
    )
    example = (ROOT / "examples/report_rate_over_amqp.py").read_text()
    assert example.endswith(f'"""\n\n{shown}')


def test_every_example_is_described() -> None:
    """examples/README.md names each program beside it."""
    page = (ROOT / "examples/README.md").read_text()
    for example in (ROOT / "examples").iterdir():
        assert f"]({example.name})" in page or example.name == "README.md", example.name


def _commands_and_links(page: str) -> tuple[list[str], list[str], set[str]]:
    """The lines of code without their comments, the code in sentences, and where links lead."""
    text = (ROOT / page).read_text()
    blocks = "".join(re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    lines = [line.partition(" # ")[0].strip() for line in blocks.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    links = set(re.findall(r"\]\(([^)]+)\)", prose)) - {"README.md", "README.zh-TW.md"}
    return lines, sorted(re.findall(r"`([^`]+)`", prose)), links


def test_both_readmes_say_the_same_commands() -> None:
    """Who changes README.md changes README.zh-TW.md: same commands, same names, same links."""
    english, chinese = _commands_and_links("README.md"), _commands_and_links("README.zh-TW.md")
    assert english == chinese
    assert "scripts/up --detach" in english[0]


def test_decisions_are_numbered_dated_and_in_the_index() -> None:
    """No gap and no number twice; each entry has its status and its date; the index names each and no other."""
    page = (ROOT / "docs/decisions.md").read_text()
    index, *entries = re.split(r"^## (?=\d)", page, flags=re.MULTILINE)
    numbers = [int(entry.partition(".")[0]) for entry in entries]
    assert numbers == list(range(1, len(entries) + 1))
    for entry in entries:
        assert re.search(r"20\d\d-\d\d-\d\d", entry), entry
        assert re.search(r"accepted|superseded|in force", entry, re.IGNORECASE), entry
    assert {int(number) for number in re.findall(r"(\d+)\s+\(", index)} == set(numbers)


def proofs() -> list[tuple[str, str]]:
    """(module, word in brackets or nothing) of everything that docs/guarantees.md names as a proof."""
    page = (ROOT / "docs/guarantees.md").read_text()
    table = page.partition("## What is promised")[2].partition("\n## ")[0]
    named: list[tuple[str, str]] = []
    for line in table.splitlines():
        for name, words in re.findall(r"`([\w/.]*test_\w+(?:\.py)?)`(?: \(([^)]*)\))?", line):
            found = [ROOT / name] if "/" in name else [*(ROOT / "tests/faults").rglob(f"{name}.py")]
            assert len(found) == 1, name
            path = str(found[0].relative_to(ROOT))
            named += [(path, word) for word in words.split(", ")]
    return named


@pytest.mark.parametrize(("path", "word"), proofs())
def test_a_proof_that_is_named_is_run_by_prove(path: str, word: str) -> None:
    """Each module and each word of the table selects a test, and scripts/prove runs it."""
    source = (ROOT / path).read_text()
    tests = re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE)
    parameters = re.findall(r'"([^"\n]+)"', source)
    assert tests
    assert any(word in name for name in [*tests, *parameters]), word
    assert any(path == one or path.startswith(f"{one}/") for one in EVERYTHING), path


@pytest.mark.parametrize("path", NOT_QUICK)
def test_what_the_quick_proof_leaves_out_is_in_the_whole(path: str) -> None:
    """A module that is renamed is not left out by its old name."""
    assert (ROOT / path).is_file()
    assert any(path == one or path.startswith(f"{one}/") for one in EVERYTHING), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is a file of the repository."""
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_exist(page: Path) -> None:
    """Every `gateway/x.py` (or contracts, db, workers, scripts) that a page names is a file."""
    for name in re.findall(
        r"`((?:gateway|contracts|db|workers|scripts)/[\w/.]+?)`", page.read_text()
    ):
        attribute_of = ROOT / (name.rpartition(".")[0] + ".py")
        assert (ROOT / name).exists() or attribute_of.exists(), name


def test_modules_that_the_code_speaks_of_exist() -> None:
    """Every dotted name of ours in a docstring or comment is a module, or a name that stands in one."""
    folders = ("gateway", "contracts", "db", "workers", "scripts", "tests")
    dotted = re.compile(rf"`((?:{'|'.join(folders)})\.[\w.]+)`")
    named = {
        (str(source.relative_to(ROOT)), name)
        for folder in folders
        for source in (ROOT / folder).rglob("*.py")
        for name in dotted.findall(source.read_text())
    }
    assert len(named) > 30
    assert not [one for one in sorted(named) if not _is_there(one[1].split("."))]


def _is_there(words: list[str]) -> bool:
    for length in range(len(words), 0, -1):
        place = ROOT.joinpath(*words[:length])
        for module in (place.with_suffix(".py"), place / "__init__.py"):
            if module.exists():
                rest = words[length : length + 1]
                return not rest or bool(re.search(rf"\b{rest[0]}\b", module.read_text()))
    return False
