"""Results with the colours of their originals."""

import pytest
import torch

from upscale_bridge.errors import StoppedError
from upscale_bridge.images import colours
from upscale_bridge.images.colours import match, match_batch
from upscale_bridge.images.resample import resize, resized_rows


def scene(height=40, width=48, channels=3):
    """Return smooth colours with some fine detail, away from black and white."""
    coarse = resize(torch.rand(4, 5, channels) * 0.6 + 0.2, width, height)
    return (coarse + torch.rand(height, width, channels) * 0.05).clamp(0, 1)


def shifted(pixels):
    """Return colours as a model may shift them."""
    return (pixels * torch.linspace(0.85, 0.95, pixels.shape[-1]) + 0.04).clamp(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", ["lab", "wavelet"])
@pytest.mark.parametrize("times", [1, 2, 7.3])  # many stripes
def test_a_shift_is_taken_back(channels, method, times):
    original = scene(channels=channels)
    wanted = resize(original, round(48 * times), round(40 * times))
    found = shifted(wanted)
    before = (found - wanted).abs().mean()
    match(found, original, method)
    assert (found - wanted).abs().mean() < 0.6 * before
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("method", ["lab", "wavelet"])
def test_what_needs_nothing_stays(method):
    original = scene()
    found = original.clone()
    match(found, original, method)
    assert (found - original).abs().max() < 1e-4


LAB = {  # of sRGB's white, primaries and a middle gray under D65
    (255, 255, 255): (100.0, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (119, 119, 119): (50.03, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
}


def test_lab_is_that_of_the_standard_and_back():
    rgb = torch.tensor(list(LAB))[None] / 255
    lab = colours._to_lab(rgb)
    assert torch.allclose(lab[:, 0].T, torch.tensor(list(LAB.values())), atol=0.02)
    assert torch.allclose(colours._from_lab(lab).permute(1, 2, 0), rgb, atol=1e-4)


def test_wavelet_keeps_fine_detail_and_stripes_leave_no_seam(monkeypatch):
    original, found = scene(300, 60), shifted(scene(300, 60))
    at_once, before = found.clone(), found.clone()
    monkeypatch.setattr(colours, "_ROWS", 1000)
    match(at_once, original, "wavelet")
    monkeypatch.setattr(colours, "_ROWS", 17)
    match(found, original, "wavelet")
    assert torch.allclose(found, at_once, atol=1e-5)
    fine = [one - colours._coarse(one) for one in (found, before)]
    assert (fine[0] - fine[1]).abs().mean() < 0.5 * fine[1].abs().mean()


@pytest.mark.parametrize("size", [(96, 80), (48, 40), (31, 200), (20, 9)])
def test_rows_of_a_resize_are_those_of_all_of_it(size):
    pixels, (width, height) = torch.rand(40, 48, 3), size
    whole = resize(pixels, width, height)
    for top in (0, height // 3, height - 1):
        bottom = min(top + 5, height)
        rows = resized_rows(pixels, width, height, top, bottom)
        assert torch.allclose(rows, whole[top:bottom], atol=1e-6)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays_and_hidden_colours_do_not_count(channels):
    original = torch.cat([scene(channels=channels - 1), torch.ones(40, 48, 1)], dim=-1)
    original[:, :24, -1] = 0
    seen = original.clone()
    original[:, :24, :-1] = 0.0  # black lies hidden
    pixels = shifted(seen[None])
    pixels[..., -1] = seen[..., -1]
    match_batch(pixels, original[None], "wavelet")
    assert torch.equal(pixels[0, ..., -1], seen[..., -1])
    visible = (pixels[0, :, 40:, :-1] - seen[:, 40:, :-1]).abs().mean()
    assert visible < 0.02


@pytest.mark.parametrize("method", ["lab", "wavelet"])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1)])
def test_any_size(method, size):
    pixels = torch.rand(*size, 3)
    match(pixels, torch.rand(1, 1, 3), method)
    assert pixels.isfinite().all()


@pytest.mark.parametrize("method", ["lab", "wavelet"])
def test_it_can_be_stopped(method):
    calls = []

    def check():
        calls.append(1)
        if len(calls) > 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        match(torch.rand(2000, 4, 3), torch.rand(20, 4, 3), method, check)
