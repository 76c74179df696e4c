"""The pack as ComfyUI sees it before anything runs."""

import importlib.util
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "web").rglob("*.js"))

TITLES = {
    "LocalESRGANUpscale": "Local ESRGAN Upscale",
    "LocalESRGANUpscaleVideo": "Local ESRGAN Upscale Video",
    "NovitaUpscale": "Novita Upscale",
    "NovitaUpscaleToResolution": "Novita Upscale to Resolution",
    "NovitaUpscaleV2": "Novita Upscale V2",
    "PhotioUpscale": "Photio Upscale",
    "WaveSpeedUpscale": "WaveSpeed Upscale",
    "ResumeUpscaleTask": "Resume Upscale Task",
}

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


def test_ids_and_titles_stay(pack):
    """Workflows have saved the ids: they are for ever."""
    assert list(pack.NODE_CLASS_MAPPINGS) == list(TITLES)
    assert pack.NODE_DISPLAY_NAME_MAPPINGS == TITLES


def test_web_directory_holds_help_for_every_node_and_nothing_private(pack):
    """All of it is served to everyone, and every script in it runs in the page."""
    assert pack.WEB_DIRECTORY == "./web"
    web = ROOT / pack.WEB_DIRECTORY
    served = {path.relative_to(web).as_posix() for path in web.rglob("*") if path.is_file()}
    scripts = {path.relative_to(web).as_posix() for path in SCRIPTS}
    assert served == {*scripts, *(f"docs/{name}/en.md" for name in TITLES)}


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


def test_inputs_stay(pack, comfy):
    """Workflows save widget values by their order: names, order and defaults are for ever."""
    types = pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscale"].INPUT_TYPES()
    table = [
        (group, name, kind if isinstance(kind, str) else "COMBO", options)
        for group, inputs in types.items()
        for name, (kind, options) in inputs.items()
    ]
    for *_, options in table:
        assert options.pop("tooltip")
    scale = {"default": 4.0, "min": 0.25, "max": 16.0, "step": 0.25, "round": 0.001}
    assert table == [
        ("required", "image", "IMAGE", {}),
        ("required", "model", "COMBO", {"default": "UpscaleBridge-x4"}),
        ("required", "scale_factor", "FLOAT", scale),
        ("required", "tile_size", "INT", {"default": 0, "min": 0, "max": 4096, "step": 32}),
        ("required", "precision", "COMBO", {"default": "auto"}),
        ("required", "alpha", "COMBO", {"default": "model"}),
        ("required", "download", "BOOLEAN", {"default": False}),
        ("optional", "mask", "MASK", {}),
        ("optional", "upscale_model", "UPSCALE_MODEL", {}),
    ]
    assert types["required"]["precision"][0] == ["auto", "fp32", "fp16", "bf16"]
    assert types["required"]["alpha"][0] == ["model", "lanczos"]
    json.dumps(types)  # ComfyUI sends it to the browser


def test_outputs_stay(pack):
    node = pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscale"]
    assert node.RETURN_TYPES == ("IMAGE", "MASK", "STRING")
    assert node.RETURN_NAMES == ("image", "mask", "info")
    assert len(node.OUTPUT_TOOLTIPS) == 3
    assert callable(getattr(node, node.FUNCTION))
    assert node.CATEGORY == "Upscale Bridge"
    assert node.DESCRIPTION


def test_inputs_and_outputs_for_videos_stay(pack, comfy):
    node = pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscaleVideo"]
    types = node.INPUT_TYPES()
    names = ["video", "model", "scale_factor", "tile_size", "precision", "download", "crf"]
    assert list(types["required"]) == names
    assert list(types["optional"]) == ["upscale_model"]
    assert types["required"]["video"][0] == "VIDEO"
    crf = types["required"]["crf"][1]
    assert (crf["default"], crf["min"], crf["max"]) == (17, 0, 51)
    assert node.RETURN_TYPES == ("VIDEO", "STRING")
    assert node.RETURN_NAMES == ("video", "info")
    assert node.VALIDATE_INPUTS(model="nowhere") is True


def test_list_of_models_is_read_anew(pack, comfy):
    node = pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscale"]
    before = node.INPUT_TYPES()["required"]["model"][0]
    (comfy.models / "deep").mkdir()
    (comfy.models / "deep" / "new.pth").touch()
    after = node.INPUT_TYPES()["required"]["model"][0]
    assert before[0] == after[0] == "UpscaleBridge-x4"
    assert set(after) - set(before) == {"deep/new"}
    assert "RealESRGAN_x4plus" in before


def test_names_that_are_not_listed_are_accepted(pack):
    node = pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscale"]
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
    assert names == sorted(TITLES)
    assert not set(roots) & (heavy | hosts)
    # The core is only known by its name inside the pack: a second one would have its own errors.
    assert not set(roots) & {"upscale_bridge", "nodes"}


def test_pack_loads_from_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "Upscale.Bridge - v1.0 (copy)"
    try:
        folder.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    assert load_in_a_new_process(folder)[0] == sorted(TITLES)


def test_root_file_alone_does_nothing():
    """Test runners import the file without its package."""
    assert "NODE_CLASS_MAPPINGS" not in runpy.run_path(str(ROOT / "__init__.py"))
    spec = importlib.util.spec_from_file_location("__init__", ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not hasattr(module, "NODE_CLASS_MAPPINGS")
