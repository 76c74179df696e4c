"""What users have saved in workflows, scripts, settings and files stays valid."""

import copy
import json
import subprocess
import sys

import pytest

from tests.saved_names import ROOT, lost, read


def test_nothing_that_was_saved_is_lost_and_everything_new_is_noted():
    command = [sys.executable, "-m", "tests.saved_names"]
    drawn = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    assert lost(read(), drawn) == []
    assert read() == drawn, "run: python -m tests.saved_names --write"


def changed(*path, **changes):
    """Return the saved names with one thing changed."""
    found = copy.deepcopy(read())
    thing = found
    for name in path:
        thing = thing[name]
    if isinstance(thing, list):
        thing.reverse()
    for name, value in changes.items():
        thing.pop(name) if value is None else thing.update({name: value})
    return found


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (("nodes",), {"NovitaUpscale": None}),
        (("nodes", "NovitaUpscale"), {"title": "Other"}),
        (("nodes", "PhotioUpscale", "required"), {}),
        (("nodes", "PhotioUpscale", "required", 1), {"type": "INT"}),
        (("nodes", "ResumeUpscaleTask", "required", 1, "choices"), {}),
        (("commands", "commands"), {"tasks": None}),
        (("commands", "commands", "local", "flags"), {"--scale": None}),
        (("settings",), {"concurrency": None}),
        (("settings", "concurrency"), {"max": 9}),
        (("environment", "vendors", "novita"), {"key": "NOVITA_KEY"}),
        (("journal", "columns"), {}),
        (("queue", "migrations"), {}),
        (("webui", "settings"), {"upscale_bridge_concurrency": None}),
        (("webui", "upscalers"), {"Bridge: Photio Upscale": None}),
    ],
)
def test_what_is_lost_is_noticed(path, changes):
    assert lost(read(), changed(*path, **changes))


def test_new_things_may_come():
    assert lost({"a": [1], "b": {"c": 1}}, {"n": 0, "a": [1, 2], "b": {"d": 1, "c": 1}}) == []
    assert lost({"a": [1, 2]}, {"a": [0, 1, 2]})
