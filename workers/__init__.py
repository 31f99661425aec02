"""Where decisions are made. One sub-package per kind of worker; what all of them share is `workers.runtime`.

Must stay true: a worker never imports another worker; this is the one list of their kinds.
"""

from typing import Final

KINDS: Final = ("inventory", "order", "payment", "quote", "admission", "notify", "relay")
"""Each is started by `python -m workers.<kind>`."""
