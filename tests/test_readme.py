"""README and examples say what the code says."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from upscale_bridge import LocalUpscale, errors

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NODE = "LocalESRGANUpscale"


def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "dev" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_drawn_from_the_declarations():
    assert tables().fill(README) == README, "run: python dev/tables.py --write"


def test_every_error_for_users_is_explained():
    bases = {"UpscaleError", "EngineError"}
    wire = {"TransportError"}  # always wrapped into a DownloadError so far
    names = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.UpscaleError)
    }
    for name in names - bases - wire:
        assert f"| `{name}` |" in README


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md"])
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_api_workflow_names_every_parameter():
    workflow = json.loads((ROOT / "example_workflows/api/local_upscale.json").read_text("utf-8"))
    (node,) = [node for node in workflow.values() if node["class_type"] == NODE]
    values = {key: value for key, value in node["inputs"].items() if not isinstance(value, list)}
    assert LocalUpscale(**values)
    assert set(values) == {item.name for item in LocalUpscale.params()}


def test_ui_workflow_holds_the_values_in_the_order_of_the_widgets():
    workflow = json.loads((ROOT / "example_workflows/local_upscale.json").read_text("utf-8"))
    (node,) = [node for node in workflow["nodes"] if node["type"] == NODE]
    names = [item.name for item in LocalUpscale.params()]
    assert [entry["name"] for entry in node["inputs"] if "widget" in entry] == names
    assert LocalUpscale(**dict(zip(names, node["widgets_values"], strict=True)))


def test_every_workflow_has_a_thumbnail():
    for workflow in (ROOT / "example_workflows").glob("*.json"):
        assert workflow.with_suffix(".jpg").exists()


def test_every_node_has_a_help_page():
    assert (ROOT / "web" / "docs" / NODE / "en.md").exists()


def test_version_stands_the_same_in_both_places():
    from upscale_bridge import __version__

    assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text("utf-8")
