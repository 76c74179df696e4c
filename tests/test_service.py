"""The one door of all hosts."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import upscale_bridge
from upscale_bridge import LocalUpscale, Monitor, Result, Service, service
from upscale_bridge.errors import ModelNotFoundError, UnsupportedModelError
from upscale_bridge.local import loader
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.params import Operation

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors"
TWICE = LocalUpscale(scale_factor=2)


def images(count=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 6, 8, 3, generator=generator)


def descriptor():
    """Return what a host's own model loader gives."""
    return loader.import_spandrel().ModelLoader("cpu").load_from_file(SHIPPED)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model folder where the shipped model lies as `mine`."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(SHIPPED, folder / "mine.safetensors")
    return folder


@pytest.fixture(scope="module")
def local(models):
    """One service for the file, so that models are loaded once."""
    return Service(lambda: [models])


def test_run_enlarges_a_batch(local):
    result = local.run(TWICE, images(3))
    assert isinstance(result, Result)
    assert result.images.shape == (3, 12, 16, 3)
    assert result.images.dtype == torch.float32
    assert result.images.device.type == "cpu"
    assert result.info["size"] == (16, 12)


def test_info_is_plain_json_without_paths(local, models):
    result = local.run(LocalUpscale(model="mine", scale_factor=2), images())
    text = json.dumps(result.info)
    assert json.loads(text)["model"] == "mine"
    assert str(models) not in text
    assert "/" not in text
    assert "\\" not in text
    assert set(result.info) == {
        "model",
        "architecture",
        "device",
        "precision",
        "passes",
        "tiles",
        "redone_tiles",
        "shrunk_to",
        "seconds",
        "input_size",
        "size",
        "model_version",
    }


def test_summary_is_one_line_of_sizes_model_and_time(local):
    summary = local.run(TWICE, images()).summary
    assert re.fullmatch(r"\d+ x \d+ -> \d+ x \d+ with \S+, cpu fp32, \d+\.\d s", summary)


def test_descriptor_takes_the_place_of_the_model(local):
    operation = LocalUpscale(model="nowhere", scale_factor=2)
    result = local.run(operation, images(), descriptor=descriptor())
    assert result.info["model"] == "connected model"
    assert torch.equal(result.images, local.run(TWICE, images()).images)


def test_descriptor_is_wrapped_once(local, monkeypatch):
    wrapped = []

    def wrap(given, name):
        wrapped.append(given)
        return original(given, name)

    original = loader.wrap_descriptor
    monkeypatch.setattr(loader, "wrap_descriptor", wrap)
    first, second = descriptor(), descriptor()
    for given in (first, first, second):
        local.run(TWICE, images(), descriptor=given)
    assert wrapped == [first, second]


def test_object_that_is_no_model_is_refused(local):
    with pytest.raises(UnsupportedModelError, match="connected model"):
        local.run(TWICE, images(), descriptor=object())


def test_unknown_operation_is_a_bug(local):
    @dataclass(frozen=True)
    class Strange(Operation):
        title = "Strange"

    with pytest.raises(TypeError, match="unknown operation Strange"):
        local.run(Strange(), images())


def test_monitor_sees_status_progress_and_tiles():
    seen = []

    class Watch(Monitor):
        def status(self, text):
            seen.append(text)

        def progress(self, done, total):
            seen.append(done / total)

        def preview(self, tile):
            seen.append(tuple(tile.shape))

    Service(list).run(TWICE, images(), Watch())
    assert seen[0] == "loading UpscaleBridge-x4"
    # Whether a piece is shown before or after it is counted is nobody's business.
    pieces = [one for one in seen[1:] if isinstance(one, tuple)]
    steps = [one for one in seen[1:] if isinstance(one, float)]
    lines = [one for one in seen[1:] if isinstance(one, str)]
    assert {(width, channels) for _, width, channels in pieces} == {(16, 3)}
    assert sum(height for height, _, _ in pieces) % 12 == 0
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert lines[-1].endswith("100 %")


def test_own_exception_of_a_monitor_comes_through(local):
    class HostStoppedError(Exception):
        pass

    class Impatient(Monitor):
        def check(self):
            raise HostStoppedError

    with pytest.raises(HostStoppedError):
        local.run(TWICE, images(), Impatient())
    # The engine is free again.
    assert local.run(TWICE, images()).images.shape == (1, 12, 16, 3)


def test_memory_policy_is_made_when_first_needed():
    from upscale_bridge.local.devices import Memory

    made = []

    def memory():
        made.append(Memory("cpu"))
        return made[-1]

    host = Service(list, memory)
    assert host.library.find("UpscaleBridge-x4") == SHIPPED
    assert made == []
    assert host.engine.memory is made[0]
    assert host.engine is host.engine
    assert len(made) == 1


def test_run_without_a_service_uses_the_users_folder(own_home, monkeypatch):
    monkeypatch.setattr(service, "default_service", Service)
    with pytest.raises(ModelNotFoundError, match="mine"):
        upscale_bridge.run(LocalUpscale(model="mine"), images())
    folder = own_home / "models"
    folder.mkdir(parents=True)
    shutil.copy(SHIPPED, folder / "mine.safetensors")
    result = upscale_bridge.run(LocalUpscale(model="mine", scale_factor=1.5), images())
    assert result.images.shape == (1, 9, 12, 3)


def test_default_service_is_one_for_the_process():
    assert service.default_service() is service.default_service()


@pytest.mark.parametrize("module", ["upscale_bridge", "upscale_bridge.cli"])
def test_import_is_light(module):
    heavy = {"torch", "requests", "spandrel", "PIL", "numpy", "safetensors", "torchvision"}
    code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
