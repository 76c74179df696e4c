"""The remote nodes in a running ComfyUI, against this project's own server.

Set COMFYUI_PATH to a checkout of ComfyUI, and COMFYUI_PYTHON to a Python that can run it.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.live.host import COMFYUI, EXAMPLES, node, running
from tests.server.running import RunningServer
from upscale_bridge.local.loader import import_spandrel

pytest.importorskip("uvicorn")

NOVITA_MODEL = "RealESRGAN_x4plus_anime_6B"
KEEPER = """
import folder_paths
import numpy


class KeepTensor:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"image": ("IMAGE",), "name": ("STRING",)}})
    RETURN_TYPES, FUNCTION, OUTPUT_NODE, CATEGORY = (), "keep", True, "tests"

    def keep(self, image, name):
        numpy.save(f"{folder_paths.get_output_directory()}/{name}.npy", image.cpu().numpy())
        return {}


NODE_CLASS_MAPPINGS = {"KeepTensor": KeepTensor}
"""
"""A node that writes an image to a file as it is; SaveImage rounds all values down."""

pytestmark = pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set")


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI whose services are a server with the same models."""
    models = tmp_path_factory.mktemp("models")
    make_model(models / f"{NOVITA_MODEL}.pth")
    with RunningServer(tmp_path_factory.mktemp("serving") / "home", models) as server:
        service = SimpleNamespace(base_url=server.url, running=server)

        def prepare(base):
            (base / "custom_nodes" / "keep_tensor.py").write_text(KEEPER, "utf-8")
            folder = base / "models" / "upscale_models"
            folder.rmdir()
            folder.symlink_to(models, target_is_directory=True)

        base = tmp_path_factory.mktemp("comfyui")
        with running(base, service, "sk-any-key-will-do", prepare) as started:
            yield started


def make_model(path: Path):
    """Write a small ESRGAN of random weights whose results are neither flat nor all clipped."""
    import_spandrel()
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(5)
    network = ESRGAN(num_blocks=1, num_filters=16)
    with torch.no_grad():
        probe = functional.interpolate(torch.rand(1, 3, 4, 4), size=(32, 32), mode="bilinear")
        weight, bias = list(network.parameters())[-2:]
        weight *= (0.2 / network(probe).std(dim=(0, 2, 3))).view(3, 1, 1, 1)
        bias += 0.5 - network(probe).mean(dim=(0, 2, 3))
    torch.save(network.state_dict(), path)


def example(name, **inputs):
    """Return an example workflow with other values in its widgets, and the id of its SaveImage."""
    prompt = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    for item in prompt.values():
        own = {key for key, value in item["inputs"].items() if not isinstance(value, list)}
        item["inputs"] |= {key: value for key, value in inputs.items() if key in own}
    (save,) = [key for key, item in prompt.items() if item["class_type"] == "SaveImage"]
    return prompt, save


def upscaled(comfyui, name, **inputs):
    """Run an example; return what its SaveImage gets: float32 [1, height, width, channels]."""
    prompt, save = example(name, **inputs)
    prompt["keep"] = node("KeepTensor", image=prompt[save]["inputs"]["images"], name=name)
    kept = comfyui.base / "output" / f"{name}.npy"
    kept.unlink(missing_ok=True)
    entry, _ = comfyui.run(prompt)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    return np.load(kept)


@pytest.mark.parametrize("source", ["small.png", "example.png"])
@pytest.mark.parametrize(
    ("remote", "choice", "model"),
    [
        ("With your own server - Novita Upscale", {"model_name": NOVITA_MODEL}, NOVITA_MODEL),
        (
            "With your own server - Novita Upscale V2",
            {"upscaler_1": "UpscaleBridge-x4"},
            "UpscaleBridge-x4",
        ),
    ],
)
def test_remote_node_gives_what_the_local_one_gives(comfyui, remote, choice, model, source):
    before = comfyui.service.running.counts()["done"]
    far = upscaled(comfyui, remote, image=source, **choice)
    assert comfyui.service.running.counts()["done"] == before + 1
    near = upscaled(comfyui, "1 Upscale an image", image=source, model=model)
    far, near = (in_8_bits(image) for image in (far, near))
    assert far.std() > 10
    assert np.array_equal(far, near)


def in_8_bits(image):
    """Return the values that a PNG of this image has."""
    return np.rint(image * np.float32(255)).astype(np.uint8)


def test_novita_example_is_unchanged():
    prompt, _ = example("With your own server - Novita Upscale", model_name=NOVITA_MODEL)
    assert prompt == json.loads(
        (EXAMPLES / "With your own server - Novita Upscale.json").read_text("utf-8")
    )
