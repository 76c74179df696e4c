"""Faces go into the square and back to where they were."""

import numpy as np
import pytest
import torch

from upscale_bridge.errors import StoppedError
from upscale_bridge.local.faces import align as module
from upscale_bridge.local.faces.align import TEMPLATE, align, cut_out, put_back
from upscale_bridge.local.faces.detector import Face

LAYS = pytest.mark.parametrize(
    ("scale", "degrees"), [(0.1, 0), (0.45, 30), (1.0, 0), (1.6, -90), (3.0, 180), (2.2, 45)]
)
SIDE = 900


def lying(scale, degrees, middle=(450.0, 430.0)):
    """Return a face whose square of 512 px has `scale` times that in an image, turned."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    points = (TEMPLATE - TEMPLATE.mean(axis=0)) @ turn.T + middle
    return Face((0.0, 0.0, 100.0, 100.0), points.astype(np.float32), 0.9)


def coordinates(height=SIDE, width=SIDE):
    """Return an image whose red is x and whose green is y, from 0 to 1."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x / width, y / height, torch.full_like(x / width, 0.5)], dim=-1)


@LAYS
def test_points_of_the_face_come_to_the_templates(scale, degrees):
    face = lying(scale, degrees)
    square = cut_out(coordinates(), align(face))
    assert square.shape == (512, 512, 3)
    at = TEMPLATE.round().astype(int)
    exact = face.points + (at - TEMPLATE) @ align(face).to_image[:, :2].T
    assert abs(square[at[:, 1], at[:, 0], :2] * SIDE - exact).max() < 0.1 + 0.05 * scale


def test_beside_the_image_it_is_gray():
    square = cut_out(coordinates(), align(lying(1.0, 0, middle=(20.0, 20.0))))
    assert np.allclose(square[0, 0] * 255, (132, 133, 135), atol=0.5)


def test_the_rim_of_the_image_takes_nothing_in_from_beside():
    image = torch.full((300, 300, 3), 0.9)
    alignment = align(lying(1.0, 10, middle=(10.0, 290.0)))
    square = cut_out(image, alignment)
    put_back(image, square, (square - np.float32(0.2)).clip(0, 1), alignment, 1.0)
    assert (image[200:, :100] - 0.7).abs().max() < 1e-3


@LAYS
def test_an_unchanged_face_leaves_every_pixel(scale, degrees, picture):
    image = picture(SIDE, SIDE)[0]
    before = image.clone()
    alignment = align(lying(scale, degrees))
    square = cut_out(image, alignment)
    put_back(image, square, square.copy(), alignment, 1.0)
    assert (image - before).abs().max() < 2e-6


@LAYS
def test_a_change_comes_back_to_its_place(scale, degrees):
    """A spot on the nose of the square lies on the nose in the image, nothing beyond the square."""
    image = torch.zeros(SIDE, SIDE, 3)
    face = lying(scale, degrees)
    square = np.zeros((512, 512, 3), np.float32)
    y, x = np.mgrid[:512, :512]
    spot = np.exp(-((x - TEMPLATE[2, 0]) ** 2 + (y - TEMPLATE[2, 1]) ** 2) / (2 * 20.0**2))
    put_back(image, square, (spot[..., None] * [1, 0.5, 0]).astype(np.float32), align(face), 1.0)
    weight = image[..., 0].double()
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    middle = [float((one * weight).sum() / weight.sum()) for one in (x, y)]
    assert abs(middle - face.points[2]).max() < 0.1 + 0.05 * scale
    assert abs(float(weight.sum()) / (2 * np.pi * (20 * scale) ** 2) - 1) < 0.05
    assert torch.allclose(image[..., 1] * 2, image[..., 0], atol=0.02)


@pytest.mark.parametrize("visibility", [0.25, 1.0])
def test_the_square_fades_towards_its_rim(visibility):
    image = torch.full((600, 600, 3), 0.5)
    alignment = align(lying(1.0, 0, middle=(300.0, 350.0)))
    square = cut_out(image, alignment)
    put_back(image, square, square + np.float32(0.2), alignment, visibility)
    change = (image[..., 0] - 0.5) / (0.2 * visibility)
    left, top = (round(float(value)) for value in alignment.to_image[:, 2])
    profile = change[top + 256, left : left + 512]
    assert torch.allclose(profile[60:452], torch.ones(1), atol=1e-3)
    assert 0.4 < profile[25] < 0.6
    assert max(profile[0], profile[511]) < 0.002
    assert bool((profile[:60].diff() >= -1e-4).all())
    assert change[: top - 1].abs().max() < 1e-6


def test_texture_goes_where_the_model_changed_the_face(picture):
    image = picture(1600, 1600)[0]
    alignment = align(lying(3.0, 0, middle=(800.0, 800.0)))
    red = np.zeros((512, 512, 3), np.float32) + np.float32([1, 0, 0])
    put_back(image, cut_out(image, alignment), red, alignment, 1.0)
    assert (image[500:1100, 500:1100] - torch.tensor([1.0, 0, 0])).abs().max() < 2 / 255


def test_blocks_are_not_seen(monkeypatch):
    whole = coordinates(700, 700)
    parts, alignment = whole.clone(), align(lying(1.3, 20, middle=(350.0, 100.0)))
    square = cut_out(whole, alignment)
    put_back(whole, square, 1 - square, alignment, 0.7)
    monkeypatch.setattr(module, "_BLOCK", 97)
    put_back(parts, square, 1 - square, alignment, 0.7)
    assert (whole - parts).abs().max() < 1 / 255


def test_gray_stays_gray_and_a_stop_is_heard(picture):
    image = picture(600, 600, channels=1)[0]
    alignment = align(lying(1.0, 0, middle=(300.0, 300.0)))
    square = cut_out(image.expand(-1, -1, 3), alignment)
    before = image.clone()
    put_back(image, square, (square + np.float32(0.1)).clip(0, 1), alignment, 1.0)
    assert image.shape == (600, 600, 1)
    assert 0.05 < float((image - before)[250:350, 250:350].mean()) < 0.11

    def stop():
        raise StoppedError

    with pytest.raises(StoppedError):
        put_back(image, square, square, alignment, 1.0, stop)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.full((5, 2), np.nan), "no numbers"),
        (np.zeros((5, 2)), "do not tell how it lies"),
        (TEMPLATE * 0.03, "too small, 50 px"),
        (TEMPLATE[[0, 1, 3, 2, 4]] * [[1], [1], [3], [-2], [1]], "do not lie as those of a face"),
        (TEMPLATE * [1, -1], "do not lie as those of a face"),
    ],
)
def test_a_face_that_cannot_be_turned_upright_is_named(points, reason):
    found = align(Face((0.0, 0.0, 50.0, 50.0), np.asarray(points, np.float32), 0.9))
    assert reason in found
