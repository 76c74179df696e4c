"""Local ESRGAN Upscale with ComfyUI's tensors."""

import json
import threading

import pytest
import torch


@pytest.fixture
def descriptor(part):
    """What ComfyUI's Load Upscale Model gives."""
    folder = part("upscale_bridge.local.library").SHIPPED_FOLDER
    spandrel = part("upscale_bridge.local.loader").import_spandrel()
    return spandrel.ModelLoader("cpu").load_from_file(folder / "UpscaleBridge-x4.safetensors")


def test_batch_of_three(upscale, images):
    batch = images(3)
    image, mask, info = upscale(batch)
    assert image.shape == (3, 12, 16, 3)
    assert (image.dtype, image.device.type) == (torch.float32, "cpu")
    assert mask.shape == (3, 64, 64)
    assert json.loads(info)["size"] == [16, 12]
    # Each is enlarged from its own pixels: the means stay apart.
    assert torch.allclose(image.mean((1, 2)), batch.mean((1, 2)), atol=0.05)


def test_single_image_without_a_batch(upscale, images):
    assert upscale(images()[0])[0].shape == (1, 12, 16, 3)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("alpha", ["model", "lanczos"])
def test_alpha_stays_and_its_opposite_is_the_mask(upscale, images, channels, alpha):
    image, mask, _ = upscale(images(2, channels), alpha=alpha)
    assert image.shape == (2, 12, 16, channels)
    assert mask.shape == (2, 12, 16)
    assert torch.equal(mask, 1 - image[..., -1])
    assert mask.std() > 0.01


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_inputs_are_not_modified(upscale, images, channels, factor):
    image, mask = images(2, channels) * 2 - 0.5, images(2, 1)[..., 0]
    if channels in (2, 4):
        image[:, :2, :, -1] = 0  # hidden colours are filled, in a copy
    before = (image.clone(), mask.clone())
    upscale(image, mask=mask, scale_factor=factor)
    assert torch.equal(image, before[0])
    assert torch.equal(mask, before[1])


def ramp(height, width):
    """Return a mask that rises from left to right."""
    return torch.linspace(0, 1, width).expand(height, width)


@pytest.mark.parametrize("alpha", ["model", "lanczos"])
@pytest.mark.parametrize(
    "shape",
    [
        *((6, 8), (1, 6, 8), (1, 3, 4), (1, 64, 64), (3, 6, 8), (2, 6, 8), (5, 10, 9)),
        *((1, 1, 6, 8), (3, 1, 3, 4)),
    ],
)
def test_mask_of_any_size_and_number_fits_the_images(upscale, images, alpha, shape):
    given = ramp(*shape[-2:]).expand(shape)
    image, mask, _ = upscale(images(3), mask=given, alpha=alpha)
    assert image.shape == (3, 12, 16, 3)
    assert mask.shape == (3, 12, 16)
    assert mask.min() >= 0
    assert mask.max() <= 1
    for one in mask:
        assert torch.allclose(one.mean(0), ramp(1, 16)[0], atol=0.2)  # the model sharpens


def test_mask_may_have_a_channel(upscale, images):
    given = ramp(6, 8).expand(3, 6, 8)
    expected = upscale(images(3), mask=given)[1]
    assert torch.equal(upscale(images(3), mask=given[..., None])[1], expected)
    assert torch.equal(upscale(images(3), mask=given[:, None])[1], expected)


NO_MASKS = {
    "none of them": torch.zeros(0, 6, 8),
    "an image": torch.zeros(1, 6, 8, 3),
    "0..255": ramp(6, 8) * 255,
    "whole numbers": (ramp(6, 8) * 255).byte(),
    "a list": [ramp(6, 8)],
}


@pytest.mark.parametrize("name", NO_MASKS)
def test_what_is_no_mask_is_refused_before_all_else(upscale, images, name):
    with pytest.raises(RuntimeError, match="InvalidInputError: mask must "):
        upscale(images(), mask=NO_MASKS[name], model="nowhere")


@pytest.mark.parametrize("image", [None, [torch.zeros(6, 8, 3)], torch.ones(1, 6, 8, 3).byte()])
def test_what_is_no_image_is_refused_before_all_else(upscale, image):
    with pytest.raises(RuntimeError, match="InvalidInputError: images must "):
        upscale(image, model="nowhere")


def test_last_mask_is_repeated(upscale, images):
    masks = torch.stack([ramp(6, 8), 1 - ramp(6, 8)])
    _, mask, _ = upscale(images(3), mask=masks)
    assert torch.allclose(mask[1], mask[2], atol=1e-6)
    assert (mask[0] - mask[1]).abs().max() > 0.5


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_flat_mask_stays_flat_and_needs_no_model(upscale, images, comfy, value):
    _, mask, _ = upscale(images(2), mask=torch.full((1, 64, 64), value))
    assert mask.shape == (2, 12, 16)
    assert torch.allclose(mask, torch.full_like(mask, value), atol=1e-6)
    assert comfy.bars[0].updates[-1][0] == 1000


def test_mask_input_wins_over_alpha(upscale, images):
    image, mask, _ = upscale(images(1, 4), mask=torch.full((1, 6, 8), 0.25))
    assert image.shape == (1, 12, 16, 4)
    assert torch.allclose(mask, torch.full_like(mask, 0.25), atol=1e-6)


@pytest.mark.parametrize("alpha", ["model", "lanczos"])
def test_size_is_told_in_pixels_and_masks_are_cropped_alike(upscale, images, alpha):
    values = {"size_by": "width and height", "width": 12, "height": 12, "fit_mode": "fill"}
    image, mask, info = upscale(images(2), mask=ramp(6, 8), alpha=alpha, **values)
    assert image.shape == (2, 12, 12, 3)
    assert json.loads(info)["input_size"] == [8, 6]
    assert mask.shape == (2, 12, 12)
    expected = ramp(6, 8)[0, 1:7]
    assert mask[0, 6, [0, 11]].tolist() == pytest.approx(expected[[0, 5]].tolist(), abs=0.1)


def test_prompts_that_were_saved_before_run_as_before(pack, comfy):
    """ComfyUI refuses a prompt without a required input, and pages give values by position."""
    first = {"model", "scale_factor", "tile_size", "precision", "download"}
    for name, alone in (("LocalESRGANUpscale", "alpha"), ("LocalESRGANUpscaleVideo", "crf")):
        groups = pack.NODE_CLASS_MAPPINGS[name].INPUT_TYPES()
        assert set(list(groups["required"])[1:]) == first | {alone}
        assert "size_by" in groups["optional"]


def test_shrinking_needs_no_model(upscale, images):
    image, mask, info = upscale(images(1, 4), scale_factor=0.5)
    assert image.shape == (1, 3, 4, 4)
    assert mask.shape == (1, 3, 4)
    assert json.loads(info)["tiles"] == 0


def test_connected_model_takes_the_place_of_the_name(upscale, images, descriptor):
    image, _, info = upscale(images(), model="nowhere", upscale_model=descriptor)
    assert json.loads(info)["model"] == "connected model"
    assert torch.allclose(image, upscale(images())[0], atol=1e-6)


def test_connected_model_does_its_mask_too(upscale, images, descriptor):
    _, mask, _ = upscale(images(), model="nowhere", upscale_model=descriptor, mask=ramp(6, 8))
    assert mask.shape == (1, 12, 16)


def test_connected_model_may_carry_a_patcher(upscale, images, descriptor):
    """Newer hosts hang their patcher on the descriptor: it is theirs and must not be copied."""

    class Patcher:
        def __init__(self):
            self.model = descriptor.model
            self.lock = threading.Lock()

    descriptor.patcher = Patcher()
    assert upscale(images(), upscale_model=descriptor)[0].shape == (1, 12, 16, 3)


def test_connected_model_stays_as_it_was(upscale, images, descriptor):
    before = {name: value.clone() for name, value in descriptor.model.state_dict().items()}
    upscale(images(), upscale_model=descriptor)
    after = descriptor.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_unknown_model_is_named(upscale, images, comfy):
    with pytest.raises(RuntimeError, match="ModelNotFoundError: There is no model 'nowhere'") as e:
        upscale(images(), model="nowhere")
    assert str(comfy.models) in str(e.value)


def test_known_model_that_is_missing_says_how_to_get_it(upscale, images):
    with pytest.raises(RuntimeError, match=r"Switch its download on .*BSD-3-Clause"):
        upscale(images(), model="RealESRGAN_x4plus")


@pytest.mark.parametrize(
    ("name", "value"), [("scale_factor", 0.0), ("precision", "fp8"), ("tile_size", -1)]
)
def test_bad_value_is_named(upscale, images, name, value):
    with pytest.raises(RuntimeError, match=f"InvalidInputError: {name} must be "):
        upscale(images(), **{name: value})
