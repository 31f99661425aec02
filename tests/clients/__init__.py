"""Real tools of client developers against the description and a running system. `scripts/test clients`.

Needs Node 20, Java 17, npm's and PyPI's registries: `scripts/test` and `scripts/test full` say so when one is missing.
"""
