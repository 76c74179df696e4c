"""Lanczos, whole and in parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from upscale_bridge.images import resample as module
from upscale_bridge.images.resample import Span, clean, resample, resize, support, taps, targets
from upscale_bridge.local.engine import pass_sizes
from upscale_bridge.local.operation import LocalUpscale

LENGTHS = st.integers(1, 200)
FACTORS = st.floats(0.25, 16.0)


@given(LENGTHS, LENGTHS, st.lists(st.integers(0, 400), max_size=6))
def test_targets_of_adjoining_cores_hold_every_pixel_once(source, target, cuts):
    edges = sorted({0, source, *(cut for cut in cuts if cut < source)})
    spans = [
        targets(Span(start, stop), source, target)
        for start, stop in zip(edges, edges[1:], strict=False)
    ]
    assert spans[0].start == 0
    assert spans[-1].stop == target
    assert all(a.stop == b.start for a, b in zip(spans, spans[1:], strict=False))


@given(LENGTHS, st.integers(1, 16), st.data())
def test_targets_of_whole_factors_are_products(source, factor, data):
    start = data.draw(st.integers(0, source))
    stop = data.draw(st.integers(start, source))
    found = targets(Span(start, stop), source, source * factor)
    assert found == Span(start * factor, stop * factor)


def dense(source, target):
    """Return all weights of an axis as a matrix float64 [target, source], computed plainly."""
    ratio = source / target
    width = max(ratio, 1.0)
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * ratio - 0.5
    distance = (torch.arange(source, dtype=torch.float64) - centres[:, None]) / width
    lobes = torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)
    return lobes / lobes.sum(dim=1, keepdim=True)


def window_of(wanted, source, target):
    """Return the source pixels that a tile must have for its `wanted` target pixels."""
    reach = support(source, target)
    first = max(0, wanted.start * source // target - reach)
    return Span(first, min(source, -(-wanted.stop * source // target) + reach))


@given(LENGTHS, LENGTHS, st.data())
def test_taps_of_a_window_are_rows_of_the_dense_matrix(source, target, data):
    start = data.draw(st.integers(0, target - 1))
    wanted = Span(start, data.draw(st.integers(start + 1, target)))
    window = window_of(wanted, source, target)
    found = torch.zeros(wanted.length, source)
    for pixels, taken, matrix in taps(window, wanted, source, target).products:
        taken = slice(taken.start + window.start, taken.stop + window.start)
        found[pixels, taken] = torch.from_numpy(matrix)
    expected = dense(source, target)[wanted.start : wanted.stop].float()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("source", "target"), [(12000, 24000), (12000, 400), (400, 6000)])
def test_a_target_pixel_takes_a_few_source_pixels(source, target):
    found = taps(Span(0, source), Span(0, target), source, target)
    assert found.weights.shape == (target, 6 * max(1, source // target) + 1)


SIZES = [(1, 1), (1, 97), (2, 3), (37, 53), (64, 48), (160, 9), (9, 160), (128, 96), (500, 31)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("source", [(64, 48), (1, 1), (3, 200), (150, 2)])
@pytest.mark.parametrize("size", SIZES)
def test_resize_equals_dense_matrices(source, size, channels):
    (wide, high), (width, height) = source, size
    pixels = torch.rand(high, wide, channels)
    expected = torch.einsum(
        "ya,xb,abc->yxc", dense(high, height), dense(wide, width), pixels.double()
    )
    found = resize(pixels, width, height)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.clamp(0, 1).float(), atol=1 / 65535, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(30, 100), (200, 20), (7, 9)])
def test_devices_compute_the_same_as_main_memory(rows, columns):
    pixels = torch.rand(60, 50, 3)
    for dim, target in ((0, rows), (1, columns)):
        source = pixels.shape[dim]
        axis = taps(Span(0, source), Span(0, target), source, target)
        both = (axis, slice(None)) if dim == 0 else (slice(None), axis)
        found = module._by_taps(pixels, axis, dim)
        torch.testing.assert_close(found, resample(pixels, *both), atol=2e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_resize_takes_every_float(dtype):
    pixels = torch.rand(20, 30, 3).to(dtype)
    assert torch.equal(resize(pixels, 45, 10), resize(pixels.float(), 45, 10))


def test_resize_takes_any_strides_and_gradients():
    pixels = torch.rand(3, 40, 50).permute(1, 2, 0)[::2, 3:40]
    found = resize(pixels.clone().requires_grad_(True), 61, 33)
    assert not found.requires_grad
    assert torch.equal(resize(pixels, 61, 33), found)


def test_what_is_no_number_stays_where_it_is():
    pixels = torch.full((40, 40, 3), 0.5)
    pixels[5, 5] = float("nan")
    pixels[30, 30] = float("inf")
    found = resize(pixels, 80, 80)
    assert found.isfinite().all()
    assert torch.equal(found, resize(clean(pixels), 80, 80))
    away = found[20:50, 20:50]
    torch.testing.assert_close(away, torch.full_like(away, 0.5), atol=1e-6, rtol=0)


def status(key):
    """Return what the kernel tells of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark"
)
def test_memory_of_a_wide_image_is_that_of_its_result():
    pixels = torch.rand(40, 12000, 4)
    resize(pixels[:, :600], 1200, 80)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    result = resize(pixels, 24000, 80)
    assert status("VmHWM") - before < 4 * result.nbytes  # dense matrices took 300 times its size


@pytest.mark.parametrize("size", [(20, 15), (64, 48), (90, 11), (1, 1), (7, 130)])
def test_resize_equals_pillow(size):
    pixels = torch.rand(48, 64, 1)
    expected = Image.fromarray(pixels[..., 0].numpy()).resize(size, Image.Resampling.LANCZOS)
    found = resize(pixels, *size)[..., 0]
    torch.testing.assert_close(
        found, torch.from_numpy(np.array(expected)).clamp(0, 1), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("size", [(30, 300), (100, 37)])
def test_resize_in_blocks_equals_at_once(size, monkeypatch):
    pixels = torch.rand(200, 40, 2)
    whole = resize(pixels, *size)
    monkeypatch.setattr(module, "_BLOCK", 24)
    torch.testing.assert_close(resize(pixels, *size), whole, atol=1e-6, rtol=0)


def test_resize_stays_in_range_and_leaves_its_input():
    pixels = (torch.rand(20, 20, 3) > 0.5).float()
    before = pixels.clone()
    result = resize(pixels, 33, 55)
    assert result.shape == (55, 33, 3)
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(pixels, before)


def test_resample_cuts_what_keeps_its_size():
    pixels = torch.rand(4, 5, 2)
    assert torch.equal(resample(pixels, slice(1, 3), slice(0, 4)), pixels[1:3, :4])
    rows = taps(Span(0, 4), Span(2, 6), 4, 8)
    found = resample(pixels, rows, slice(1, 3))
    expected = torch.einsum("ya,abc->ybc", dense(4, 8)[2:6].float(), pixels[:, 1:3])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def sizes_of(size, factor, scale):
    """Return the passes to the exact size."""
    return pass_sizes(size, LocalUpscale(scale_factor=factor).target(*size), factor, scale)


@given(LENGTHS, LENGTHS, FACTORS, st.sampled_from((1, 2, 3, 4, 8)))
def test_passes_end_at_the_exact_size(width, height, factor, scale):
    sizes = sizes_of((width, height), factor, scale)
    assert sizes[0] == (width, height)
    assert sizes[-1] == (max(1, round(width * factor)), max(1, round(height * factor)))


@given(LENGTHS, LENGTHS, FACTORS, st.sampled_from((2, 3, 4, 8)))
def test_passes_are_as_few_as_the_scale_allows(width, height, factor, scale):
    count = len(sizes_of((width, height), factor, scale)) - 1
    assert count == 1 or scale ** (count - 1) < factor
    assert scale**count >= factor - 1e-6


@given(LENGTHS, LENGTHS, FACTORS, st.sampled_from((2, 3, 4, 8)))
def test_no_pass_enlarges_by_more_than_the_scale(width, height, factor, scale):
    sizes = sizes_of((width, height), factor, scale)
    for before, after in zip(sizes, sizes[1:], strict=False):
        assert all(b <= a * scale for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("factor", "scale", "passes"), [(4, 4, 1), (4.25, 4, 2), (16, 4, 2), (16, 2, 4), (16, 1, 1)]
)
def test_number_of_passes(factor, scale, passes):
    assert len(sizes_of((10, 10), factor, scale)) - 1 == passes
