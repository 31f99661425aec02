"""Insides of libraries that we replace or rely on, all in one place.

Every module names in `INTERNALS` the functions and classes of the library whose insides it knows, with the versions
that it was tested with. `tests/unit/contracts/runtime/test_overrides.py` fails as soon as another version is locked or
one of them is written otherwise: then somebody reads what changed, runs the tests of the module and writes the new
version and digest down (the failing test says both).
"""
