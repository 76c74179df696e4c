"""Networks that restore faces: their files are read, and they are called as they were trained."""

import numpy as np
import pytest
import torch

from upscale_bridge.errors import StoppedError, UnsupportedModelError
from upscale_bridge.local.catalogue import find_spec
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.faces.model import FaceModel
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.local.loader import import_spandrel, load_face_model, load_model

CPU = Memory("cpu")


@pytest.fixture(scope="module")
def small():
    """A RestoreFormer of random weights with few channels."""
    import_spandrel()
    from spandrel.architectures.RestoreFormer import RestoreFormer

    torch.manual_seed(1)
    sizes = {"n_embed": 8, "embed_dim": 8, "z_channels": 8, "ch": 32, "ch_mult": (1,) * 6}
    return RestoreFormer(num_res_blocks=1, **sizes).eval()


@pytest.fixture
def face():
    generator = torch.Generator().manual_seed(2)
    return torch.rand(512, 512, 3, generator=generator).numpy()


@torch.inference_mode()
def direct(network, face, **told):
    """Return what a network makes of a face, as its authors call it."""
    pixels = torch.from_numpy(face).permute(2, 0, 1)[None] * 2 - 1
    return ((network(pixels, **told)[0][0] + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()


def of_its_authors(weights):
    """Return a checkpoint as Lightning writes it, with a network of the training."""
    named = {f"vqvae.{name}": value for name, value in weights.items()}
    named["vqvae.quantize.utility_counter"] = torch.zeros(8)
    return {"state_dict": {**named, "loss.discriminator.weight": torch.zeros(3)}, "epoch": 3}


@pytest.mark.parametrize(
    ("name", "wrap"),
    [("RestoreFormer.pth", lambda weights: {"params": weights}), ("a.ckpt", of_its_authors)],
)
def test_a_file_is_read(tmp_path, small, name, wrap):
    torch.save(wrap(small.state_dict()), tmp_path / name)
    model = load_face_model(tmp_path / name)
    assert (model.name, model.architecture) == (name.split(".")[0], "RestoreFormer")
    read = model._module.state_dict()
    assert all(torch.equal(read[key], value) for key, value in small.state_dict().items())
    with pytest.raises(UnsupportedModelError, match="restores aligned faces"):
        load_model(tmp_path / name)


def test_restoreformer_gives_what_its_authors_call_gives(tmp_path, small, face):
    torch.save(small.state_dict(), tmp_path / "a.pth")
    found = load_face_model(tmp_path / "a.pth").restore(face, 0.0, CPU)
    assert found.shape == (512, 512, 3)
    assert found.dtype == np.float32
    assert np.allclose(found, direct(small, face), atol=1e-5)


def test_gfpgan_gives_the_same_each_time(face):
    spandrel = import_spandrel()
    from spandrel.architectures.GFPGAN import GFPGAN, GFPGANArch

    torch.manual_seed(1)
    network = GFPGAN(
        out_size=512,
        num_style_feat=16,
        channel_multiplier=0.125,
        narrow=0.5,
        sft_half=True,
        different_w=True,
        input_is_latent=True,
        num_mlp=1,
    )
    descriptor = spandrel.ImageModelDescriptor(
        network,
        network.state_dict(),
        GFPGANArch(),
        "FaceSR",
        [],
        supports_half=False,
        supports_bfloat16=True,
        scale=1,
        input_channels=3,
        output_channels=3,
    )
    model = FaceModel("GFPGANv1.4", descriptor)
    found = model.restore(face, 0.0, CPU)
    assert np.array_equal(found, model.restore(face, 0.0, CPU))
    assert np.allclose(found, direct(network, face, randomize_noise=False), atol=1e-5)


def test_codeformer_is_told_its_weight(face_model, face):
    model = face_model(lambda pixels: pixels * 2, "CodeFormer")
    assert np.allclose(model.restore(face, 0.3, CPU), (face * 2 - 0.5).clip(0, 1), atol=1e-5)
    assert model._module.told == [{"weight": 0.3}]


def test_a_stop_ends_it_within_a_face(face_model, face):
    calls = []

    def check():
        calls.append(None)
        if len(calls) == 2:
            raise StoppedError

    model = face_model(lambda pixels: calls.append("ran"))
    with pytest.raises(StoppedError):
        model.restore(face, 0.0, CPU, check)
    assert "ran" not in calls


@pytest.mark.parametrize(
    "made", [lambda pixels: pixels * torch.nan, lambda pixels: pixels / 0, lambda p: p[..., :256]]
)
def test_what_is_no_face_is_told(face_model, face, made):
    with pytest.raises(ValueError, match="no picture of a face"):
        face_model(made).restore(face, 0.0, CPU)


def test_others_are_refused(face_model):
    with pytest.raises(UnsupportedModelError, match="restores no faces"):
        load_face_model(SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors")
    with pytest.raises(UnsupportedModelError, match="maps 1 channels"):
        face_model(lambda pixels: pixels, channels=1)


def test_models_for_faces_are_no_upscalers():
    uses = {
        name: find_spec(name).use
        for name in ("GFPGANv1.4", "GFPGANv1.3", "RestoreFormer", "CodeFormer", "YuNet")
    }
    assert uses == dict.fromkeys(uses, "faces") | {"YuNet": "detector"}
