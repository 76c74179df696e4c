"""Lanczos, whole and in parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from upscale_bridge.local.engine import pass_sizes
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.local.resample import resample, resize, support, targets, weights
from upscale_bridge.local.tiling import Span

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


@given(LENGTHS, LENGTHS, st.data())
def test_weights_of_a_window_equal_those_of_the_whole(source, target, data):
    start = data.draw(st.integers(0, target - 1))
    wanted = Span(start, data.draw(st.integers(start + 1, target)))
    reach = support(source, target)
    window = Span(
        max(0, wanted.start * source // target - reach),
        min(source, -(-wanted.stop * source // target) + reach),
    )
    whole = weights(Span(0, source), Span(0, target), source, target)
    part = weights(window, wanted, source, target)
    rows = whole[wanted.start : wanted.stop]
    torch.testing.assert_close(part, rows[:, window.start : window.stop], atol=1e-6, rtol=0)
    assert float(rows[:, : window.start].abs().sum() + rows[:, window.stop :].abs().sum()) == 0


@given(LENGTHS, LENGTHS)
def test_weights_add_up_to_one(source, target):
    sums = weights(Span(0, source), Span(0, target), source, target).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones(target), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(20, 15), (64, 48), (90, 11), (1, 1), (7, 130)])
def test_resize_equals_pillow(size):
    pixels = torch.rand(48, 64, 1)
    expected = Image.fromarray(pixels[..., 0].numpy()).resize(size, Image.Resampling.LANCZOS)
    found = resize(pixels, *size)[..., 0]
    torch.testing.assert_close(
        found, torch.from_numpy(np.array(expected)).clamp(0, 1), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("size", [(30, 300), (100, 37)])
def test_resize_in_bands_equals_at_once(size):
    pixels = torch.rand(200, 40, 2)
    whole = resize(pixels, *size, rows_at_once=10_000)
    torch.testing.assert_close(resize(pixels, *size, rows_at_once=16), whole, atol=1e-6, rtol=0)


def test_resize_stays_in_range_and_leaves_its_input():
    pixels = (torch.rand(20, 20, 3) > 0.5).float()
    before = pixels.clone()
    result = resize(pixels, 33, 55)
    assert result.shape == (55, 33, 3)
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(pixels, before)


def test_flat_image_stays_flat():
    result = resize(torch.full((13, 17, 1), 0.3), 40, 5)
    torch.testing.assert_close(result, torch.full((5, 40, 1), 0.3), atol=1e-6, rtol=0)


def test_resample_applies_rows_and_columns():
    pixels = torch.rand(4, 5, 2)
    rows, columns = torch.eye(4)[1:3], torch.eye(5)[[4, 0]]
    assert torch.equal(resample(pixels, rows, columns), pixels[1:3][:, [4, 0]])


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
