"""Tensors and other things as programs hand them in."""

import collections

import numpy as np
import pytest
import torch
from PIL import Image

from upscale_bridge import LocalUpscale, NovitaUpscale, Service
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.tensors import take_images, take_masks
from upscale_bridge.monitor import Monitor

SMALLER = LocalUpscale(scale_factor=0.5)
TWICE = LocalUpscale(model="of no folder", scale_factor=2)
LARGE = torch.rand(2, 6, 8, 3, generator=torch.Generator().manual_seed(1))
Point = collections.namedtuple("Point", "x y")


def outlier():
    pixels = torch.rand(1, 20, 20, 3)
    pixels[0, 3, 3] = 40.0
    return pixels


def dark():
    pixels = torch.zeros(1, 20, 20, 3)
    pixels[0, 3, 3] = 255.0
    return pixels


def second_of_two():
    pixels = torch.rand(2, 6, 8, 3)
    pixels[1] *= 255
    return pixels


def fresh():
    """Return a service that has no model of that name, no key, and done nothing."""
    return Service(list, lambda: Memory("cpu"))


class Traced(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("looked at")


REFUSED = {
    "None": (lambda: None, "got None"),
    "a list": (lambda: [LARGE[0], LARGE[1]], "got list; torch.stack"),
    "a tuple": (lambda: (LARGE,), "got tuple; torch.stack"),
    "a named tuple": (lambda: Point(1, 2), "Point"),
    "a dict": (lambda: {"samples": LARGE}, "got dict"),
    "a text": (lambda: "photo.png", "got str"),
    "numpy": (LARGE.numpy, r"got numpy.ndarray; torch.from_numpy"),
    "numpy, turned": (lambda: LARGE.numpy()[:, ::-1], r"got numpy.ndarray"),
    "Pillow": (lambda: Image.new("RGB", (4, 4)), r"got PIL.Image.Image; torch.from_numpy"),
    "uint8": (
        lambda: (LARGE * 255).to(torch.uint8),
        r"\(uint8\) from \d+ to .*divide them by 255",
    ),
    "int64": (lambda: (LARGE * 255).long(), r"\(int64\) from .* divide them by 255"),
    "16 bits": (lambda: (LARGE * 65535).int(), r"\(int32\) from .* divide them by 65535"),
    "bool": (lambda: LARGE > 0.5, "truth values, of which float"),
    "bool of ints": (lambda: (LARGE > 0.5).long(), r"\(int64\) from 0 to 1: make floats"),
    "0..255": (lambda: LARGE * 255, r"got [0-9.]+ to 25\d.*: divide them by 255\.$"),
    "half 0..255": (lambda: (LARGE * 255).half(), "divide them by 255"),
    "0..255 with NaN": (
        lambda: torch.cat([LARGE * 255, torch.full((2, 6, 8, 1), float("nan"))], -1),
        "divide them by 255",
    ),
    "0..255, dark": (dark, "got 0 to 255: divide them by 255"),
    "0..255, the second": (second_of_two, "divide them by 255"),
    "0..65535": (lambda: LARGE * 65535, "divide them by 65535"),
    "-1..1": (lambda: LARGE * 2 - 1, "got -.*: add 1 and divide by 2"),
    "-1..1, double": (lambda: LARGE.double() * 2 - 1, "add 1 and divide by 2"),
    "-255..255": (lambda: LARGE * 510 - 255, "bring them to that range"),
    "complex": (lambda: LARGE.to(torch.complex64), "complex"),
    "sparse": (LARGE.to_sparse, "sparse"),
    "quantized": (
        lambda: torch.quantize_per_tensor(LARGE, 1 / 255, 0, torch.quint8),
        "quantized",
    ),
    "nested": (lambda: torch.nested.nested_tensor([LARGE[0], LARGE[1, :3]]), "nested"),
    "meta": (lambda: LARGE.to("meta"), "without values"),
    "a traced one": (lambda: LARGE.as_subclass(Traced), r"without values of its own \(Traced"),
    "channels first": (lambda: torch.rand(1, 3, 20, 30), "movedim.* channels last"),
    "one, channels first": (lambda: torch.rand(3, 20, 30), r"\[3, 20, 30\]; movedim"),
    "five channels": (lambda: torch.rand(1, 20, 30, 5), r"\[1, 20, 30, 5\]"),
    "one without a batch": (lambda: LARGE[0], r"\[6, 8, 3\]; images\[None\]"),
    "a film": (lambda: torch.rand(1, 2, 6, 8, 3), r"\[1, 2, 6, 8, 3\]"),
    "two dimensions": (lambda: torch.rand(6, 8), r"\[6, 8\]"),
    "a number": (lambda: torch.tensor(0.5), r"\[\]"),
    "no image": (lambda: torch.rand(0, 6, 8, 3), "without empty sides"),
    "no height": (lambda: torch.rand(1, 0, 8, 3), "without empty sides"),
    "no width": (lambda: torch.rand(1, 6, 0, 3), "without empty sides"),
    "no channel": (lambda: torch.rand(1, 6, 8, 0), "without empty sides"),
    "no whole number": (lambda: torch.zeros(0, 6, 8, 3, dtype=torch.uint8), "got uint8"),
}


@pytest.mark.filterwarnings("ignore:.*(quantize|nested):UserWarning")  # torch means to end them
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("operation", [TWICE, NovitaUpscale()], ids=["here", "remote"])
def test_what_are_no_images_is_refused_in_a_sentence_before_all_else(name, operation):
    make, words = REFUSED[name]
    with pytest.raises(InvalidInputError, match=words) as refused:
        fresh().run(operation, make())
    assert refused.value.name == "images"
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("images must ")
    with pytest.raises(InvalidInputError, match=words):
        Engine(Memory("cpu")).upscale(None, make(), TWICE, Monitor())


def overshoot():
    return LARGE * 1.1 - 0.05


TAKEN = {
    "as it should be": lambda: LARGE,
    "overshoot": overshoot,
    "wide overshoot": lambda: LARGE * 2 - 0.5,
    "half of it dark and below": lambda: LARGE * 3 - 1.1,
    "an outlier": outlier,
    "NaN": lambda: torch.full((1, 4, 4, 3), float("nan")),
    "infinity": lambda: torch.full((1, 4, 4, 3), float("inf")),
    "black": lambda: torch.zeros(1, 4, 4, 3),
    "white": lambda: torch.ones(1, 4, 4, 1),
    "half": lambda: LARGE.half(),
    "bf16": lambda: LARGE.bfloat16(),
    "double": lambda: LARGE.double(),
    "gradients": lambda: LARGE.clone().requires_grad_(True),
    "a parameter": lambda: torch.nn.Parameter(LARGE.clone()),
    "channels last": lambda: LARGE.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1),
    "every other pixel": lambda: torch.rand(2, 12, 16, 3)[:, ::2, ::2],
    "one value": lambda: torch.full((1, 1, 1, 1), 0.5).expand(2, 6, 8, 3),
    "negated": lambda: torch.imag(torch.complex(-LARGE, -LARGE).conj()),
    "a subclass": lambda: LARGE.as_subclass(type("Mine", (torch.Tensor,), {})),
    "a pixel": lambda: torch.rand(1, 1, 1, 3),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_are_images_is_taken(name):
    given = TAKEN[name]()
    found = take_images(given)
    assert type(found) is torch.Tensor
    assert not found.requires_grad
    assert found.dtype == given.dtype
    values = given.detach().resolve_neg().as_subclass(torch.Tensor)
    assert torch.equal(found.nan_to_num(), values.nan_to_num())
    result = fresh().run(SMALLER, given).images
    assert type(result) is torch.Tensor
    assert result.isfinite().all()
    assert result.min() >= 0
    assert result.max() <= 1


MASKS = {
    "[6, 8]": (6, 8),
    "[2, 6, 8]": (2, 6, 8),
    "[2, 1, 6, 8]": (2, 1, 6, 8),
    "[2, 6, 8, 1]": (2, 6, 8, 1),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_four_shapes_are_taken(name):
    mask = torch.rand(MASKS[name])
    found = take_masks(mask)
    assert found.shape == (1 if mask.dim() == 2 else 2, 6, 8, 1)
    assert torch.equal(found.flatten(), mask.flatten())


NO_MASKS = {
    "None": (lambda: None, "got None"),
    "a list": (lambda: [torch.rand(6, 8)], "got list"),
    "numpy": (lambda: np.zeros((6, 8)), "got numpy.ndarray"),
    "none of them": (lambda: torch.rand(0, 6, 8), r"without empty sides; got \[0, 6, 8\]"),
    "no width": (lambda: torch.rand(1, 6, 0), r"\[1, 6, 0\]"),
    "an image": (lambda: torch.rand(1, 6, 8, 3), r"\[1, 6, 8, 3\]"),
    "channels first": (lambda: torch.rand(1, 3, 6, 8), r"\[1, 3, 6, 8\]"),
    "a line": (lambda: torch.rand(8), r"\[8\]"),
    "five dimensions": (lambda: torch.rand(1, 1, 6, 8, 1), r"\[1, 1, 6, 8, 1\]"),
    "0..255": (lambda: torch.rand(1, 6, 8) * 255, "divide them by 255"),
    "0 and 255": (lambda: (torch.rand(1, 6, 8) > 0.99) * 255.0 + 255.0, "divide|bring"),
    "uint8": (lambda: torch.full((1, 6, 8), 255, dtype=torch.uint8), r"from 255 to 255"),
    "bool": (lambda: torch.rand(1, 6, 8) > 0.5, "truth values"),
}


@pytest.mark.parametrize("name", NO_MASKS)
def test_what_is_no_mask_is_refused_in_a_sentence(name):
    make, words = NO_MASKS[name]
    with pytest.raises(InvalidInputError, match=words) as refused:
        take_masks(make())
    assert refused.value.name == "mask"
    assert str(refused.value).startswith("mask must ")
