"""What the model learns from: pairs made on the device are those that Pillow would make."""

import io

import degrade
import jpeg
import numpy as np
import pytest
import resize
import torch
from PIL import Image
from pool import SCALE, SIDE

PILLOW = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
}


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()


def picture(side):
    """Smooth colours with edges and a little noise, kept off the ends of the range."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(11 * y), np.sin(7 * (x - y))], -1)
    pixels = 128 + 60 * waves + 20 * (x > y)[..., None] + rng.normal(0, 3, (side, side, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def stock():
    """Scenes with 8 x 8 blocks of random colours, whose twins are they reduced by averaging."""
    found = degrade.Stock(3, torch.device("cpu"))
    low = torch.rand(3, 3, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(0))
    low = low.mul(255).byte().repeat_interleave(2, 2).repeat_interleave(2, 3)
    scenes = low.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)
    found.add(scenes.permute(0, 2, 3, 1), low.permute(0, 2, 3, 1))
    return found


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_jpeg_is_pillows(quality, subsampling):
    image = picture(64)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    expected = as_tensor(Image.open(buffer).convert("RGB"))
    numbers = torch.tensor([float(quality)]), torch.tensor([subsampling == 2])
    found = jpeg.compress(as_tensor(image), *numbers)
    damage = (expected - as_tensor(image)).abs().mean()
    assert (found - expected).abs().mean() < 0.75 < damage


@pytest.mark.parametrize("kernel", resize.KERNELS)
@pytest.mark.parametrize("factor", [2, 4])
def test_reducing_is_pillows(kernel, factor):
    image = picture(64)
    expected = as_tensor(image.resize((64 // factor, 64 // factor), PILLOW[kernel]))
    found = resize.reduce_by(as_tensor(image), factor, kernel)
    assert (found - expected).abs().max() < 1.5


@pytest.mark.parametrize("kernel", resize.KERNELS)
def test_windows_are_pillows(kernel):
    image = picture(96)
    expected = as_tensor(image.resize((48, 48), PILLOW[kernel], (10.5, 10.5, 75.5, 75.5)))
    axis = resize.axis_matrices(torch.tensor([10.5]), torch.tensor([65.0]), 96, 48, kernel)
    found = resize.apply(axis, axis, as_tensor(image))
    # At its edge Pillow sees nothing beyond the window; a cut of a scene may.
    assert (found - expected)[..., 4:-4, 4:-4].abs().max() < 1.5


def test_no_blur_leaves_pictures_as_they_are():
    found = resize.blur_matrices(torch.zeros(2), 9)
    assert torch.allclose(found, torch.eye(9).expand(2, 9, 9), atol=1e-6)


def test_blur_has_the_deviation_asked_for():
    row = resize.blur_matrices(torch.tensor([2.0]), 41)[0, 20]
    distance = torch.arange(41) - 20
    assert (row * distance.square()).sum().sqrt() == pytest.approx(2.0, abs=0.01)


def test_every_way_reduces_by_the_scale_and_keeps_flat_areas():
    ways = degrade.reducers(64, torch.device("cpu"))
    assert ways.shape == (len(degrade.WAYS), 64 // SCALE, 64)
    assert torch.allclose(ways.sum(-1), torch.ones(()), atol=1e-5)
    assert sum(degrade.WAYS.values()) == pytest.approx(1)


def test_chunks_hold_levels_and_depend_on_the_seed_alone(stock):
    maker = degrade.PairMaker(stock, 32)
    low, high = maker.make(5, 16)
    assert low.shape == (16, 3, 32, 32)
    assert high.shape == (16, 3, 128, 128)
    for part in (low, high):
        assert torch.equal(part, part.round().clamp(0, 255))
    again = maker.make(5, 16)
    assert torch.equal(low, again[0])
    assert torch.equal(high, again[1])
    assert not torch.equal(low, maker.make(6, 16)[0])


def errors(low, high):
    """The differences of inputs from their targets, reduced in the way that fits best."""
    ways = degrade.reducers(high.shape[-1], low.device)
    found = torch.stack([degrade.levels(way @ high @ way.mT) - low for way in ways])
    best = found.abs().mean((2, 3, 4)).argmin(0)
    return found[best, torch.arange(len(low))]


def test_half_of_the_pairs_are_clean(stock):
    found = errors(*degrade.PairMaker(stock, 32).make(7, 64)).abs().mean((1, 2, 3))
    # Of the other half, few escape every spoiling; the twins of these scenes are clean, too.
    assert 32 <= (found < 0.01).sum() <= 40


def test_colours_are_permuted_before_they_are_encoded(stock):
    """Subsampled chroma suffers more than luma in nearly every picture, however its colours lie."""
    found = errors(*degrade.PairMaker(stock, 64).make(2, 64))
    luma, chroma = (part.square().mean((1, 2, 3)) for part in degrade.luma_chroma(found))
    spoilt = (luma > 1) & (chroma > 1)  # grey pictures have no chroma
    assert (chroma[spoilt] > luma[spoilt]).float().mean() > 0.9


def test_twins_are_cut_where_their_scenes_are(stock):
    low, high = degrade.twins(degrade.Dice(3, torch.device("cpu")), stock, 8, 32)
    assert torch.equal(resize.reduce_by(high, SCALE, "box").round(), low)
