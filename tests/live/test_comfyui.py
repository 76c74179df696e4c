"""The pack in a running ComfyUI.

Set COMFYUI_PATH to a checkout of ComfyUI, and COMFYUI_PYTHON to a Python that can run it.
"""

import json
import shutil
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.live.host import COMFYUI, LOAD, ROOT, ask, node, pictures, running
from upscale_bridge import LocalUpscale

NODE = "LocalESRGANUpscale"

pytestmark = pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set")

EXAMPLES = {
    path.relative_to(ROOT).as_posix(): prompt
    for path in sorted((ROOT / "example_workflows").rglob("*.json"))
    for prompt in [json.loads(path.read_text(encoding="utf-8"))]
    # The API format is a table of nodes; the format of the editor has lists.
    if prompt and all(isinstance(n, dict) and "class_type" in n for n in prompt.values())
    # The others need a service; test_remote_nodes.py has one.
    if {NODE, "LocalUpscaleExtras"} & {n["class_type"] for n in prompt.values()}
    # Faces need OpenCV and others' weights; test_faces.py has them.
    if not any(n["inputs"].get("gfpgan_visibility") for n in prompt.values())
    if not any("when_unavailable" in n["inputs"] for n in prompt.values())
    # These need others' weights; test_templates.py makes a checkpoint.
    if not any({"ckpt_name", "unet_name"} & n["inputs"].keys() for n in prompt.values())
}


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI with this pack only, in folders of its own."""
    base = tmp_path_factory.mktemp("comfyui")
    with running(base, SimpleNamespace(base_url="")) as started:
        for path in ("pictures/one.png", "pictures/two.jpg"):
            (base / "input" / path).parent.mkdir(exist_ok=True)
            with Image.open(base / "input" / "small.png") as small:
                small.save(base / "input" / path)
        yield started


def upscale(image, **inputs):
    values = {
        "model": "UpscaleBridge-x4",
        "scale_factor": 2.0,
        "tile_size": 0,
        "precision": "auto",
        "alpha": "model",
        "download": False,
    }
    return node(NODE, image=image, **{**values, **inputs})


SAVE = node("SaveImage", images=["upscale", 0], filename_prefix="test")


LATER = [item.name for item in LocalUpscale.params() if item.later]


def test_node_is_there_with_its_inputs(comfyui):
    info = ask(comfyui, f"/object_info/{NODE}")[NODE]
    assert info["display_name"] == "Local ESRGAN Upscale"
    assert info["category"] == "image/upscaling"
    assert info["input_order"] == {
        "required": [
            "image",
            "model",
            "scale_factor",
            "tile_size",
            "precision",
            "alpha",
            "download",
        ],
        "optional": ["mask", "upscale_model", *LATER],
    }
    assert info["output"] == ["IMAGE", "MASK", "STRING"]
    assert info["input"]["required"]["model"][0][0] == "UpscaleBridge-x4"


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(comfyui, name):
    prompt = EXAMPLES[name]
    entry = comfyui.run(prompt)[0]
    saves = [key for key, item in prompt.items() if item["class_type"] == "SaveImage"]
    assert saves
    for key in saves:
        results = pictures(comfyui, entry, key)
        assert results
        expected = expected_size(comfyui, prompt, prompt[key])
        assert expected is None or [image.size for image in results] == [expected]


def expected_size(comfyui, prompt, save):
    """Return the size of LoadImage -> our node -> SaveImage; None for other chains."""
    middle = prompt[save["inputs"]["images"][0]]
    source = prompt[middle["inputs"]["image"][0]]
    if (middle["class_type"], source["class_type"]) != (NODE, "LoadImage"):
        return None
    with Image.open(comfyui.base / "input" / source["inputs"]["image"]) as image:
        factor = middle["inputs"]["scale_factor"]
        return tuple(round(side * factor) for side in image.size)


def test_batch_comes_out_as_a_batch(comfyui):
    prompt = {
        "load": LOAD,
        "batch": node("RepeatImageBatch", image=["load", 0], amount=3),
        "upscale": upscale(["batch", 0], scale_factor=1.5),
        "save": SAVE,
    }
    images = pictures(comfyui, comfyui.run(prompt)[0])
    assert [image.size for image in images] == [(60, 36)] * 3


def test_alpha_comes_out_as_alpha(comfyui):
    prompt = {
        "load": LOAD,
        "mask": node("ImageToMask", image=["load", 0], channel="red"),
        "join": node("JoinImageWithAlpha", image=["load", 0], alpha=["mask", 0]),
        "upscale": upscale(["join", 0]),
        "save": SAVE,
        "show": node("MaskToImage", mask=["upscale", 1]),
        "save mask": node("SaveImage", images=["show", 0], filename_prefix="mask"),
    }
    entry = comfyui.run(prompt)[0]
    (image,) = pictures(comfyui, entry)
    assert (image.mode, image.size) == ("RGBA", (80, 48))
    low, high = image.getchannel("A").getextrema()
    assert high - low > 200
    (mask,) = pictures(comfyui, entry, "save mask")
    assert mask.size == (80, 48)
    assert abs(mask.getpixel((40, 24))[0] + image.getpixel((40, 24))[3] - 255) <= 1


def test_wrong_model_is_named_in_an_execution_error(comfyui):
    prompt = {"load": LOAD, "upscale": upscale(["load", 0], model="nowhere"), "save": SAVE}
    status = comfyui.run(prompt)[0]["status"]
    assert status["status_str"] == "error"
    (error,) = [details for kind, details in status["messages"] if kind == "execution_error"]
    assert error["node_type"] == NODE
    assert "ModelNotFoundError: There is no model 'nowhere'" in error["exception_message"]


def test_connected_model_of_the_hosts_loader_runs(comfyui):
    folder = ROOT / "upscale_bridge" / "local" / "weights"
    for path in folder.glob("*.safetensors"):
        shutil.copy(path, comfyui.base / "models" / "upscale_models" / "theirs.safetensors")
    prompt = {
        "load": LOAD,
        "loader": node("UpscaleModelLoader", model_name="theirs.safetensors"),
        "upscale": upscale(["load", 0], model="nowhere", upscale_model=["loader", 0]),
        "save": SAVE,
    }
    (image,) = pictures(comfyui, comfyui.run(prompt)[0])
    assert image.size == (80, 48)
