"""Two models of one architecture, and what lies between their weights."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from upscale_bridge import LocalExtras, LocalUpscale, Monitor, Service
from upscale_bridge.errors import InvalidInputError, UnsupportedModelError
from upscale_bridge.images.resample import middle, resize
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.local.operation import LocalUpscaleVideo
from upscale_bridge.preflight import advise

SHIPPED = SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors"
IMAGES = torch.rand(1, 7, 9, 3)


def other(folder, name, change):
    """Put a copy of the shipped model with other weights into a folder."""
    weights = {key: change(value) for key, value in load_file(SHIPPED).items()}
    save_file(weights, folder / name)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    other(folder, "half.safetensors", lambda value: value / 2)
    # Files that are called as the known ones: what is mixed follows from the names.
    shutil.copy(SHIPPED, folder / "realesr-general-x4v3.safetensors")
    other(folder, "realesr-general-wdn-x4v3.safetensors", lambda value: value / 2)
    # Its last layer has a bias for each of the 48 numbers that become 4 x 4 pixels.
    other(folder, "dark.safetensors", lambda value: value - 0.1 * (value.shape == (48,)))
    return Service(lambda: [folder])


def test_weights_lie_between(service):
    first, second = (service.library.load(name, Monitor()) for name in ("UpscaleBridge-x4", "half"))
    found = service.library.mixed(first, second, 0.25)
    for name, value in found.weights().items():
        assert torch.allclose(value, first.weights()[name] * 0.875, atol=1e-6)
    assert found.name == "UpscaleBridge-x4 x 0.75 + half x 0.25"
    assert service.library.mixed(first, second, 0.25) is found


@pytest.mark.parametrize(("share", "same"), [(0.0, "UpscaleBridge-x4"), (1.0, "half")])
def test_ends_are_the_models_themselves(service, share, same):
    mixed = service.run(LocalUpscale(mixed_with="half", mix_share=share), IMAGES)
    alone = service.run(LocalUpscale(model=same), IMAGES)
    assert torch.allclose(mixed.images, alone.images, atol=1e-5)


def test_noise_is_removed_as_its_authors_do_it(service):
    model = "realesr-general-x4v3"
    found = service.run(LocalUpscale(model=model, denoise=0.3), IMAGES)
    assert found.info["model"] == f"{model} x 0.30 + realesr-general-wdn-x4v3 x 0.70"
    mixed = service.run(LocalUpscale(mixed_with="half", mix_share=0.7), IMAGES)
    assert torch.allclose(found.images, mixed.images, atol=1e-6)
    assert service.run(LocalUpscale(model=model), IMAGES).info["model"] == model
    video = LocalUpscaleVideo(model=f"deep/{model}.pth", denoise=0.5)
    assert video.mix() == ("realesr-general-wdn-x4v3", 0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"denoise": 0.5}, "denoise is for the model realesr-general-x4v3; choose it, or"),
        ({"model": "realesr-general-x4v3", "denoise": 0.5, "mixed_with": "half"}, "by itself"),
    ],
)
def test_what_means_nothing_is_refused(values, words):
    with pytest.raises(InvalidInputError, match=words):
        LocalUpscale(**values)


def test_networks_that_differ_are_refused(service, tmp_path):
    weights = load_file(SHIPPED)
    grown = {key: value.repeat(2, *[1] * (value.dim() - 1)) for key, value in weights.items()}
    first = service.library.load("UpscaleBridge-x4", Monitor())
    second = service.library.load("half", Monitor())

    class Grown:
        name, architecture, scale = "grown", second.architecture, second.scale

        @staticmethod
        def weights():
            return grown

    with pytest.raises(
        UnsupportedModelError, match=r"grown .* cannot be mixed: their layers differ"
    ):
        service.library.mixed(first, Grown(), 0.5)


def test_both_models_are_looked_for_before_the_run(service):
    found = advise(Service(), LocalUpscale(model="realesr-general-x4v3", denoise=0.5), (9, 7))
    assert [note.name for note in found.notes] == [
        "realesr-general-x4v3",
        "realesr-general-wdn-x4v3",
    ]


@pytest.mark.parametrize("method", ["lab", "wavelet"])
def test_results_get_the_colours_of_what_is_shown(service, method):
    """A part that was cropped does not count."""
    images = torch.rand(2, 20, 30, 3) * 0.4 + 0.5
    images[:, :, :5] = 0.0
    size = {"size_by": "width and height", "width": 40, "height": 40, "fit_mode": "fill"}
    plain = service.run(LocalUpscale(model="dark", **size), images).images
    found = service.run(LocalUpscale(model="dark", colour_match=method, **size), images).images
    for wanted, one, before in zip(middle(images, 20, 20), found, plain, strict=True):
        expected = resize(wanted, 40, 40)
        assert abs(one.mean() - expected.mean()) < 0.25 * abs(before.mean() - expected.mean())
    extras = service.run(LocalExtras(upscaler_1="dark", colour_match=method), images).images
    assert abs(extras.mean() - images.mean()) < 0.02
