"""All that tests know of single vendors: a folder each, which nobody lists.

It holds `profile.py` (what the general batteries ask, as data), `stand_in.py` (its endpoints, for
`tests.fakes`), `samples` (recorded exchanges) and tests of what nobody else does.
"""

from importlib import import_module
from pathlib import Path

FOLDERS = tuple(path.parent for path in sorted(Path(__file__).parent.glob("*/profile.py")))


def _parts(name):
    return [import_module(f"{__name__}.{folder.name}.{name}") for folder in FOLDERS]


def stand_ins():
    """Return the modules that speak like each vendor."""
    return _parts("stand_in")


def profiles():
    """Return a `form.Profile` for each operation, by its shell word, in the registry's order."""
    from upscale_bridge.vendors import OPERATIONS

    found = {one.operation: one for part in _parts("profile") for one in part.PROFILES}
    return {kind.command: found[kind] for kind in OPERATIONS}


def environment(url, key):
    """Return the variables under which all vendors are at `url` and have the key."""
    from upscale_bridge.vendors import VENDORS

    addresses = {vendor.url_variable: url for vendor in VENDORS}
    return addresses | {vendor.key_variable: key for vendor in VENDORS}
