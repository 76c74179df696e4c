"""Local Upscale Extras with ComfyUI's tensors."""

import json

import pytest
import torch


@pytest.fixture
def upscale(pack, comfy):
    """Run the node with default values, some of them changed."""
    node = pack.NODE_CLASS_MAPPINGS["LocalUpscaleExtras"]

    def run(image, mask=None, **changed):
        groups = node.INPUT_TYPES().values()
        drawn = {name: one[1].get("default") for group in groups for name, one in group.items()}
        values = {name: value for name, value in drawn.items() if name not in ("image", "mask")}
        return node().upscale(image=image, mask=mask, **{**values, **changed})

    return run


def test_two_upscalers_and_a_crop(upscale):
    size = {"resize_mode": "to size", "upscaling_resize_w": 12, "upscaling_resize_h": 12}
    blend = {"upscaler_2": "Lanczos", "extras_upscaler_2_visibility": 0.5}
    ramp = torch.linspace(0, 1, 8).expand(6, 8)
    image, mask, info = upscale(torch.rand(2, 6, 8, 4), **size, **blend)
    assert image.shape == (2, 12, 12, 4)
    assert torch.equal(mask, 1 - image[..., 3])
    assert json.loads(info)["model"] == "UpscaleBridge-x4 and Lanczos"
    _, mask, _ = upscale(torch.rand(2, 6, 8, 3), ramp, **size)
    assert mask.shape == (2, 12, 12)
    assert mask[0, 6, [0, 11]].tolist() == pytest.approx([1 / 7, 6 / 7], abs=0.1)


def test_every_upscaler_is_listed_and_a_missing_one_explained(upscale, pack, comfy):
    drawn = pack.NODE_CLASS_MAPPINGS["LocalUpscaleExtras"].INPUT_TYPES()["required"]
    for name in ("upscaler_1", "upscaler_2"):
        assert {"UpscaleBridge-x4", "4x-UltraSharp", "Lanczos", "None"} <= set(drawn[name][0])
    with pytest.raises(RuntimeError, match="ModelNotFoundError: There is no model 'nowhere'"):
        upscale(torch.rand(1, 6, 8, 3), upscaler_1="nowhere")
