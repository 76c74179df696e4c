"""Weights files of every kind, good, damaged and hostile."""

import json
import subprocess
import sys
import zipfile
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from upscale_bridge.errors import EngineError, UnsupportedModelError
from upscale_bridge.local.loader import (
    _registry,
    file_sha256,
    import_spandrel,
    load_model,
    wrap_descriptor,
)
from upscale_bridge.local.scan import EXTENSIONS

CPU = torch.device("cpu")


def forward(model, pixels):
    return model.replica(CPU, torch.float32)(pixels)[0]


@pytest.fixture
def weights(state):
    return dict(state(width=8))


def write(weights, path):
    if path.suffix in (".safetensors", ".sft"):
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_extension_is_read(weights, network, tmp_path, extension):
    model = load_model(write(weights, tmp_path / f"my model{extension}"))
    assert (model.name, model.scale, model.channels) == ("my model", 4, 3)
    pixels = torch.rand(1, 3, 9, 11)
    assert torch.equal(forward(model, pixels), forward(network(width=8), pixels))


@pytest.mark.parametrize(
    ("metadata", "version"),
    [
        ({"version": "2.1", "name": "mine"}, "2.1"),
        ({"name": "mine"}, ""),
        (None, ""),
        ({"version": "two\nlines"}, ""),
        ({"version": "9" * 41}, ""),
    ],
)
def test_version_is_read_from_the_metadata(weights, tmp_path, metadata, version):
    path = tmp_path / "model.safetensors"
    save_file(weights, path, metadata)
    assert load_model(path).version == version


@pytest.mark.parametrize("metadata", ["2", ["2"], {"version": 2}, 2])
def test_metadata_of_other_kinds_says_nothing(weights, tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    save_file(weights, path, {"version": "2"})
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]) | {"__metadata__": metadata}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    assert load_model(path).version == ""


def test_pickles_have_no_version(weights, tmp_path):
    assert load_model(write(weights, tmp_path / "model.pth")).version == ""


@pytest.mark.parametrize("extension", [".PTH", ".SafeTensors"])
def test_case_of_the_extension_does_not_matter(weights, tmp_path, extension):
    path = tmp_path / f"model{extension}"
    write(weights, path.with_suffix(extension.lower())).rename(path)
    assert load_model(path).scale == 4


@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict", "model_state_dict"])
def test_wrapped_weights_are_unwrapped(weights, tmp_path, wrapper):
    path = tmp_path / "model.pth"
    torch.save(
        {wrapper: weights, "iter": 5} if wrapper != "state_dict" else {wrapper: weights}, path
    )
    assert load_model(path).scale == 4


def test_average_weights_win_over_the_last(weights, tmp_path):
    path = tmp_path / "model.pth"
    other = {key: value * 2 for key, value in weights.items()}
    torch.save({"params": other, "params_ema": weights}, path)
    plain = load_model(write(weights, tmp_path / "plain.pth"))
    pixels = torch.rand(1, 3, 8, 8)
    assert torch.equal(forward(load_model(path), pixels), forward(plain, pixels))


def test_old_and_new_names_of_esrgan_are_the_same_model(state, tmp_path):
    old = dict(state(blocks=1))
    new = {}
    names = {"model.0": "conv_first", "model.1.sub.1": "trunk_conv"}
    names |= {
        "model.3": "upconv1",
        "model.6": "upconv2",
        "model.8": "HRconv",
        "model.10": "conv_last",
    }
    for key, value in old.items():
        stem, kind = key.rsplit(".", 1)
        if stem.startswith("model.1.sub.0."):
            stem = "RRDB_trunk.0." + stem.removeprefix("model.1.sub.0.").removesuffix(".0")
        new[f"{names.get(stem, stem)}.{kind}"] = value
    models = [
        load_model(write(w, tmp_path / f"{len(w)}-{i}.pth")) for i, w in enumerate((old, new))
    ]
    assert [model.architecture for model in models] == ["ESRGAN", "ESRGAN"]
    pixels = torch.rand(1, 3, 12, 12)
    assert torch.equal(forward(models[0], pixels), forward(models[1], pixels))


def test_half_weights_are_kept_in_fp32(weights, tmp_path):
    halves = {key: value.half() for key, value in weights.items()}
    model = load_model(write(halves, tmp_path / "model.safetensors"))
    output = forward(model, torch.rand(1, 3, 8, 8))
    assert output.dtype == torch.float32


def truncated(path, weights):
    data = write(weights, path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path, weights):
    path.touch()


def text(path, weights):
    path.write_text("<html><body>404 Not Found</body></html>", encoding="utf-8")


def noise(path, weights):
    path.write_bytes(torch.randint(0, 256, (5000,), dtype=torch.uint8).numpy().tobytes())


def other_zip(path, weights):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")


def bare_tensor(path, weights):
    torch.save(torch.zeros(3), path)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("build", [truncated, empty, text, noise, other_zip, bare_tensor])
def test_damaged_files_are_refused(weights, tmp_path, extension, build):
    path = tmp_path / f"bad{extension}"
    build(path, weights)
    with pytest.raises(UnsupportedModelError) as caught:
        load_model(path)
    assert path.name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("extension", [".pth", ".safetensors", ".sft"])
def test_weights_of_something_else_are_refused(tmp_path, extension):
    path = write({"lora_A.weight": torch.zeros(4, 4)}, tmp_path / f"lora{extension}")
    with pytest.raises(UnsupportedModelError, match="no architecture that spandrel knows"):
        load_model(path)


def test_inpainting_is_refused(descriptor):
    spandrel = import_spandrel()
    image = descriptor(lambda pixels: pixels, scale=1)
    masked = spandrel.MaskedImageModelDescriptor(
        image.model,
        image.model.state_dict(),
        image.architecture,
        "Inpainting",
        [],
        supports_half=False,
        supports_bfloat16=False,
        input_channels=3,
        output_channels=3,
    )
    with pytest.raises(UnsupportedModelError, match="lama is not a model that turns one image"):
        wrap_descriptor(masked, "lama")


def test_other_objects_are_refused():
    with pytest.raises(UnsupportedModelError, match="choose an upscale model"):
        wrap_descriptor(object(), "thing")


def test_face_restoration_is_refused(descriptor):
    faces = descriptor(lambda pixels: pixels, purpose="FaceSR")
    with pytest.raises(UnsupportedModelError, match="gfpgan restores aligned faces"):
        wrap_descriptor(faces, "gfpgan")


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 1), (1, 3), (6, 6), (2, 2), (9, 3)])
def test_odd_channels_are_refused(descriptor, inputs, outputs):
    odd = descriptor(lambda pixels: pixels, channels=inputs, outputs=outputs)
    with pytest.raises(UnsupportedModelError, match=f"maps {inputs} channels to {outputs}"):
        wrap_descriptor(odd, "odd")


def test_replicas_leave_the_weights_in_fp32(weights, tmp_path):
    model = load_model(write(weights, tmp_path / "model.pth"))
    pixels = torch.rand(1, 3, 8, 8)
    before = forward(model, pixels)
    short, finite = model.replica(CPU, torch.bfloat16)(pixels.bfloat16())
    assert finite
    assert short.dtype == torch.bfloat16
    assert torch.equal(forward(model, pixels), before)
    assert model.replica(CPU, torch.bfloat16) is model.replica(CPU, torch.bfloat16)


def test_finite_is_told_behind_the_clamp(stub, nearest):
    for bad in (float("inf"), float("-inf"), float("nan")):
        replica = stub(lambda pixels, bad=bad: nearest(pixels) * bad).replica(CPU, torch.float32)
        output, finite = replica(torch.ones(1, 3, 4, 4))
        assert not finite
        assert output.shape == (1, 3, 8, 8)


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def extra(monkeypatch):
    """A stand-in of spandrel_extra_arches, as old as the WebUI's: it has no install()."""
    spandrel = import_spandrel()
    from spandrel.architectures.Compact import CompactArch

    class StrangeArch(CompactArch):
        def __init__(self):
            super().__init__()
            self._id = "Strange"

    module = ModuleType("spandrel_extra_arches")
    module.__spec__ = ModuleSpec("spandrel_extra_arches", None)
    module.EXTRA_REGISTRY = spandrel.ArchRegistry()
    module.EXTRA_REGISTRY.add(spandrel.ArchSupport.from_architecture(StrangeArch()))
    monkeypatch.setitem(sys.modules, "spandrel_extra_arches", module)
    return module


@pytest.fixture
def hosts_spandrel():
    """spandrel with a registry of its own, which a host may change."""
    return SimpleNamespace(MAIN_REGISTRY=import_spandrel().MAIN_REGISTRY.copy())


def ids(registry):
    return [one.architecture.id for one in registry]


def test_extra_architectures_are_known_and_spandrels_own_are_left_alone(extra, hosts_spandrel):
    before = ids(hosts_spandrel.MAIN_REGISTRY)
    for _ in range(2):
        assert ids(_registry(hosts_spandrel)) == [*before, "Strange"]
    assert ids(hosts_spandrel.MAIN_REGISTRY) == before


@pytest.mark.parametrize("first", [True, False], ids=["before us", "after us"])
def test_host_may_add_the_extra_architectures(extra, hosts_spandrel, first):
    """spandrel refuses what it has already, so we must not have added it."""
    if not first:
        _registry(hosts_spandrel)
    hosts_spandrel.MAIN_REGISTRY.add(*extra.EXTRA_REGISTRY)
    assert ids(_registry(hosts_spandrel)) == ids(hosts_spandrel.MAIN_REGISTRY)
    assert ids(_registry(hosts_spandrel)).count("Strange") == 1


def test_without_the_extra_package_the_registry_is_a_copy(hosts_spandrel):
    found = _registry(hosts_spandrel)
    assert ids(found) == ids(hosts_spandrel.MAIN_REGISTRY)
    assert found is not hosts_spandrel.MAIN_REGISTRY


def test_model_loads_beside_the_extra_architectures(extra, weights, tmp_path):
    before = ids(import_spandrel().MAIN_REGISTRY)
    assert load_model(write(weights, tmp_path / "model.pth")).scale == 4
    assert ids(import_spandrel().MAIN_REGISTRY) == before


def test_a_result_does_not_wait_for_torchs_compiler():
    code = (
        "import sys, torch; from upscale_bridge import LocalUpscale, Service;"
        "before = list(sys.meta_path); Service().run(LocalUpscale(), torch.rand(1, 4, 4, 3));"
        "assert sys.meta_path == before; assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_broken_spandrel_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(EngineError, match="pip install --no-deps spandrel"):
        import_spandrel()
