"""The description is one that today's tools take without a warning, and whose generated clients really buy tickets."""

import json
import os
import shutil
from pathlib import Path

import pytest

from db.mysql.database import Database
from tests.clients.tools import HERE, Tools, run
from tests.harness.accounts import person
from tests.harness.sales import sale
from tests.harness.system import System

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
BUYERS = HERE / "buyers"
TSC = (
    *("--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext"),
    *("--moduleResolution", "nodenext", "--lib", "es2022,dom,dom.iterable", "--types", "node"),
)


@pytest.fixture(scope="module")
async def on_sale(system: System) -> int:
    """A ticket type."""
    records = await Database.connect(system.scratch.mysql_url, size=1)
    organizer = await person(records, "ORGANIZER")
    await records.close()
    return (await sale(system, organizer, 100)).ticket_type


@pytest.fixture
async def folder(system: System, tools: Tools, tmp_path: Path) -> Path:
    """A folder with the description as a client developer fetches it, and the npm packages beside it."""
    document = (await system.api().get("/openapi.json")).body
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "node_modules").symlink_to(tools.home / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def require_bought(said: str) -> None:
    """The buyer's last line: an order that is paid, a date that is a date, a refusal with its code."""
    bought = json.loads(said.splitlines()[-1])
    assert bought["order"] > 0
    assert (bought["status"], bought["refused"]) == ("CONFIRMED", "LIMIT_EXCEEDED")
    assert bought["year"] >= 2026


async def test_redocly_finds_nothing(tools: Tools, folder: Path) -> None:
    """No error and no warning under its recommended rules."""
    said = await run(tools.npm("redocly"), "lint", "openapi.json", cwd=folder)
    assert "Your API description is valid" in said
    assert "warning" not in said.partition("validating openapi.json")[2], said


async def test_spectral_finds_nothing(tools: Tools, folder: Path) -> None:
    """No result of any severity under its rules for OpenAPI."""
    (folder / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    await run(tools.npm("spectral"), "lint", "openapi.json", "--fail-severity=hint", cwd=folder)


async def test_the_linters_would_find_something(tools: Tools, folder: Path) -> None:
    """The control: a description without a licence and with an example that is none."""
    document = json.loads((folder / "openapi.json").read_text())
    del document["info"]["license"], document["info"]["contact"]
    (folder / "openapi.json").write_text(json.dumps(document))
    assert "warning" in await run(tools.npm("redocly"), "lint", "openapi.json", cwd=folder)
    (folder / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    spectral = (tools.npm("spectral"), "lint", "openapi.json", "--fail-severity=hint")
    with pytest.raises(AssertionError, match="info-contact"):
        await run(*spectral, cwd=folder)


async def test_openapi_python_client_buys(
    system: System, on_sale: int, tools: Tools, folder: Path
) -> None:
    """Generated without a warning; answers and problems are typed."""
    path = f"{tools.python.parent}{os.pathsep}{os.environ['PATH']}"
    generate = ("generate", "--path", "openapi.json", "--output-path", "eventhub_client")
    said = await run(
        *(tools.python.parent / "openapi-python-client", *generate),
        *("--meta", "none", "--fail-on-warning"),
        cwd=folder,
        more={"PATH": path},
    )
    assert "warning" not in said.lower(), said
    buyer = BUYERS / "openapi_python_client_buyer.py"
    where = {"PYTHONPATH": str(folder)}
    require_bought(await run(tools.python, buyer, system.url, str(on_sale), cwd=folder, more=where))


async def generated(tools: Tools, folder: Path, generator: str, to: str, *properties: str) -> None:
    """Run openapi-generator."""
    words = ["generate", "-i", "openapi.json", "-g", generator, "-o", to]
    words += [f"--additional-properties={one}" for one in properties]
    said = await run("java", "-jar", tools.generator, *words, cwd=folder)
    assert "FILEPATH_COLLISION" not in said, said
    assert "ERROR" not in said, said


async def test_openapi_generators_python_client_buys(
    system: System, on_sale: int, tools: Tools, folder: Path
) -> None:
    """It checks each answer against the schemas: dates, enumerations, results of commands."""
    await generated(tools, folder, "python", "made")
    buyer, where = BUYERS / "openapi_generator_buyer.py", {"PYTHONPATH": str(folder / "made")}
    require_bought(await run(tools.python, buyer, system.url, str(on_sale), cwd=folder, more=where))


async def test_openapi_typescripts_client_buys(
    system: System, on_sale: int, tools: Tools, folder: Path
) -> None:
    """With openapi-fetch; what may be left out may be left out, under the strictest compiler."""
    await run(tools.npm("openapi-typescript"), "openapi.json", "-o", "schema.d.ts", cwd=folder)
    require_bought(await compiled(system, on_sale, tools, folder, "openapi_fetch_buyer"))


async def test_typescript_fetchs_client_buys(
    system: System, on_sale: int, tools: Tools, folder: Path
) -> None:
    """One type of answer for each call: it asks strictly and never gets a 202."""
    # Node wants to be told the name of the file.
    await generated(tools, folder, "typescript-fetch", "client", "importFileExtension=.js")
    require_bought(await compiled(system, on_sale, tools, folder, "typescript_fetch_buyer"))


async def compiled(system: System, on_sale: int, tools: Tools, folder: Path, buyer: str) -> str:
    """What a TypeScript buyer prints, compiled under the strictest rules."""
    shutil.copy(BUYERS / f"{buyer}.ts", folder)
    await run(tools.npm("tsc"), *TSC, f"{buyer}.ts", cwd=folder)
    return await run("node", f"{buyer}.js", system.url, str(on_sale), cwd=folder)
