"""Faces in a running ComfyUI; PYTHONPATH may bring the OpenCV that its Python lacks."""

import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageChops

from tests.live.host import COMFYUI, EXAMPLES, PYTHON, ROOT, pictures, running
from upscale_bridge.local.loader import import_spandrel

pytestmark = pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set")

FILES = ROOT / "tests" / "data" / "faces"
PROMPT = json.loads((EXAMPLES / "10 Restore faces.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI with a RestoreFormer of random weights where other packs keep such models."""
    import_spandrel()
    from spandrel.architectures.RestoreFormer import RestoreFormer

    def prepare(base):
        folder = base / "models" / "facerestore_models"
        folder.mkdir(parents=True)
        sizes = {"n_embed": 8, "embed_dim": 8, "z_channels": 8, "ch": 32, "ch_mult": (1,) * 6}
        weights = RestoreFormer(num_res_blocks=1, **sizes).state_dict()
        torch.save(weights, folder / "RestoreFormer.pth")
        shutil.copy(FILES / "face_detection_yunet_2026may.onnx", folder)
        with Image.open(FILES / "astronaut.jpg") as photo:
            photo.resize((256, 256)).save(base / "input" / "photo.png")

    base = tmp_path_factory.mktemp("comfyui")
    with running(base, SimpleNamespace(base_url=""), prepare=prepare) as started:
        yield started


def restored(comfyui, **values):
    prompt = json.loads(json.dumps(PROMPT))
    prompt["1"]["inputs"]["image"] = "photo.png"
    prompt["2"]["inputs"] |= {"upscaler_1": "Lanczos", "download": False, **values}
    return comfyui.run(prompt)[0]


def test_a_face_is_restored_or_what_is_missing_is_told(comfyui):
    check = [PYTHON, "-c", "import cv2; cv2.FaceDetectorYN"]
    there = subprocess.run(check, env=os.environ, capture_output=True, check=False).returncode == 0
    entry = restored(comfyui, face_model="RestoreFormer")
    if not there:
        assert "pip install" in str(entry["status"]["messages"])
        assert "OpenCV" in str(entry["status"]["messages"])
        return
    (found,) = pictures(comfyui, entry, "3")
    (plain,) = pictures(comfyui, restored(comfyui, gfpgan_visibility=0.0), "3")
    assert found.size == plain.size == (512, 512)
    left, top, right, bottom = ImageChops.difference(found, plain).getbbox()
    assert 110 < left < 160 < 280 < right < 340
    assert 10 < top < 60 < 170 < bottom < 220
    entry = restored(comfyui)
    assert "GFPGANv1.4 is not on this machine" in str(entry["status"]["messages"])
