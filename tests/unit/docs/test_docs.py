"""What the documents say is there is there."""

import re
from pathlib import Path

import pytest

from contracts.settings import Settings

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
