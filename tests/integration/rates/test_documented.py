"""The example in docs/providers.md works when it is pasted."""

import asyncio
import os
import re
import sys
from pathlib import Path

from db.mysql.database import Database
from tests.harness.rates import priced
from tests.harness.scratch import Scratch
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.rates.broker import provider
from tests.integration.rates.test_providers import rate_of

GUIDE = Path(__file__).parents[3] / "docs" / "providers.md"


async def test_the_example_publisher_reports_a_rate(
    system: System, scratch: Scratch, database: Database, tmp_path: Path
) -> None:
    """The program as it stands there, with what `scripts/provider add` printed: the rate is in use."""
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    script = tmp_path / "report.py"
    script.write_text(program)
    await priced(database, "DOCS", "12.50")
    async with provider(scratch) as added:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(script),
            "DOCS",
            "USD",
            "12.50",
            env={**os.environ, "AMQP_URL": added["amqpUrl"]},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert (process.returncode, out.decode().strip()) == (0, "DOCS/USD at 12.50 has arrived")

        async def stored() -> bool:
            return await rate_of(database, "DOCS") == "12.5"

        await eventually(stored)
