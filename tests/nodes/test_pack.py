"""The pack as ComfyUI sees it before anything runs."""

import asyncio
import importlib.util
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.saved_names import read

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "web").rglob("*.js"))

TITLES = {name: node["title"] for name, node in read()["nodes"].items()}

LOAD = """
import importlib.util, sys
path = sys.argv[1]
name = path.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, path + "/__init__.py")
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
import json
roots = sorted({key.split(".")[0] for key in sys.modules if not key.startswith(name)})
print(json.dumps([sorted(module.NODE_CLASS_MAPPINGS), roots]))
"""


def test_each_remote_operation_has_a_node_of_its_name(pack, part):
    """Of its own type, with what ComfyUI reads from it; nothing is entered by hand."""
    for operation in part("upscale_bridge.vendors").OPERATIONS:
        node = pack.NODE_CLASS_MAPPINGS[operation.__name__]
        assert node.OPERATION is operation
        assert node.__name__ == operation.__name__
        assert node.__module__ == part("nodes.remote").__name__
        assert operation.__doc__ == node.DESCRIPTION
        assert node.DEPRECATED is bool(operation.retirement)
        assert node.SEARCH_ALIASES[-1] == operation.vendor.name
        assert part("nodes.advice_routes").KINDS[operation.__name__] is operation


def test_an_operation_of_a_new_vendor_gets_a_node(part):
    """Made from a subclass here, as a new entry of the registry would be."""
    kind = part("upscale_bridge.vendors").PhotioUpscale
    added = type("AcmeUpscale", (kind,), {"title": "Acme Upscale", "__doc__": "Enlarge."})
    node = part("nodes.remote").node_of(added)
    assert (node.__name__, node.__doc__, node.DESCRIPTION) == (
        "AcmeUpscale",
        "Acme Upscale.",
        "Enlarge.",
    )
    groups = node.INPUT_TYPES()
    later = [item.name for item in kind.params() if item.later]
    assert list(groups["optional"]) == ["mask", *later]
    names = [item.name for item in kind.params() if item.name not in later]
    assert list(groups["required"]) == ["image", *names]


def test_web_directory_holds_help_for_every_node_and_nothing_private(pack):
    """All of it is served to everyone, and every script in it runs in the page."""
    assert pack.WEB_DIRECTORY == "./web"
    web = ROOT / pack.WEB_DIRECTORY
    served = {path.relative_to(web).as_posix() for path in web.rglob("*") if path.is_file()}
    scripts = {path.relative_to(web).as_posix() for path in SCRIPTS}
    assert served == {*scripts, *(f"docs/{name}/en.md" for name in pack.NODE_CLASS_MAPPINGS)}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_of_the_page_cannot_leak(path):
    """It handles keys: no HTML from texts, nothing kept in the browser, no other host."""
    text = path.read_text(encoding="utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "Storage", "cookie", "eval("):
        assert word not in text
    for module in re.findall(r'from "(.+)"', text):
        found = (path.parent / module).resolve()
        hosts = re.fullmatch(r"(\.\./)+scripts/(app|api)\.js", module)
        assert hosts or found in SCRIPTS, module
    links = ['https://")) {'] if path.name == "keys.js" else []  # what a link must begin with
    assert re.findall(r"\w+://.*", text) == links
    calls = 2 if path.name == "server.js" else 0
    assert re.findall(r"\bfetch\w*\(", text) == ["fetchApi("] * calls
    assert text.startswith("// @ts-check")
    assert len(text.splitlines()) <= 200


def test_the_page_listens_to_the_events_that_are_sent():
    heard = {name for path in SCRIPTS for name in re.findall(r'listen\("(\w+)"', path.read_text())}
    sources = [path.read_text("utf-8") for path in (ROOT / "nodes").glob("*.py")]
    sent = {
        name for text in sources for name in re.findall(r'\n[A-Z]+ = "(upscale_bridge\..+)"', text)
    }
    assert sent == {f"upscale_bridge.{name}" for name in heard}


def test_nodes_stand_beside_comfyuis_own_under_their_own_names(pack):
    names = pack.NODE_DISPLAY_NAME_MAPPINGS
    assert len(set(names.values())) == len(names) == len(TITLES)
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        assert node.CATEGORY == "image/upscaling"
        assert node.HAS_INTERMEDIATE_OUTPUT
        assert names[name] == TITLES[name]


@pytest.mark.parametrize("name", TITLES)
def test_every_node_explains_itself(pack, comfy, name):
    node = pack.NODE_CLASS_MAPPINGS[name]
    groups = node.INPUT_TYPES()
    for inputs in groups.values():
        for input, (kind, options) in inputs.items():
            assert options["tooltip"] or input in ("image", "video")
            assert isinstance(kind, str) or options["default"] in kind
    json.dumps(groups)  # ComfyUI sends it to the browser
    assert len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_NAMES) == len(node.RETURN_TYPES)
    assert asyncio.iscoroutinefunction(getattr(node, node.FUNCTION)) != name.startswith("Local")
    assert node.DESCRIPTION


def test_what_is_rarely_changed_is_marked(pack):
    inputs = pack.NODE_CLASS_MAPPINGS["WaveSpeedUpscale"].INPUT_TYPES()["required"]
    shown = [name for name, (_, options) in inputs.items() if not options.get("advanced")]
    assert shown == ["image", "model", "target_resolution", "when_unavailable"]


def test_list_of_models_is_read_anew(pack, comfy):
    node = pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscale"]
    before = node.INPUT_TYPES()["required"]["model"][0]
    (comfy.models / "deep").mkdir()
    (comfy.models / "deep" / "new.pth").touch()
    after = node.INPUT_TYPES()["required"]["model"][0]
    assert before[0] == after[0] == "UpscaleBridge-x4"
    assert set(after) - set(before) == {"deep/new"}
    assert "RealESRGAN_x4plus" in before


@pytest.mark.parametrize("name", ["LocalESRGANUpscale", "LocalESRGANUpscaleVideo"])
def test_names_that_are_not_listed_are_accepted(pack, name):
    node = pack.NODE_CLASS_MAPPINGS[name]
    assert node.VALIDATE_INPUTS(model="nowhere") is True
    assert node.VALIDATE_INPUTS() is True


def load_in_a_new_process(path):
    result = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)


def test_loading_the_pack_imports_nothing_heavy():
    """ComfyUI must not start later because of this pack, nor fail without its packages."""
    names, roots = load_in_a_new_process(ROOT)
    heavy = {"torch", "spandrel", "torchvision", "requests", "PIL", "numpy", "av"}
    hosts = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "aiohttp"}
    assert set(names) >= set(TITLES)
    assert not set(roots) & (heavy | hosts)
    # The core is only known by its name inside the pack: a second one would have its own errors.
    assert not set(roots) & {"upscale_bridge", "nodes"}


def test_pack_loads_from_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "Upscale.Bridge - v1.0 (copy)"
    try:
        folder.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    assert set(load_in_a_new_process(folder)[0]) >= set(TITLES)


def test_root_file_alone_does_nothing():
    """Test runners import the file without its package."""
    assert "NODE_CLASS_MAPPINGS" not in runpy.run_path(str(ROOT / "__init__.py"))
    spec = importlib.util.spec_from_file_location("__init__", ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not hasattr(module, "NODE_CLASS_MAPPINGS")
