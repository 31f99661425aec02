"""The results that the repository keeps: one JSON line per run, one file per kind of load.

In: a result. Out: a line at the end of `docs/results/<bench>.jsonl`; `scripts/bench compare` takes the last one.
Must stay true: results are only ever added; none holds a name, an address or an account.
"""

import json
from pathlib import Path
from typing import Any

from scripts.stack.home import CHECKOUT

RESULTS = CHECKOUT / "docs" / "results"


def keep(result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Add a result to the history of its kind; the file it went to."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['bench']}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
    return path
