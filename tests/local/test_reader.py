"""Weights files of the kinds that people have: our reader gives what torch's own gives."""

import argparse
import collections
import datetime
import logging
import pathlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from upscale_bridge.errors import UnsupportedModelError
from upscale_bridge.local.loader import load_model
from upscale_bridge.local.reader import read_weights

DTYPES = [
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32),
    *(torch.int16, torch.int8, torch.uint8, torch.bool),
]
FORMATS = [
    {"_use_new_zipfile_serialization": new, "pickle_protocol": protocol}
    for new in (True, False)
    for protocol in (2, 4, 5)
]


pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch.load's own


def whole(tree):
    return tree


def same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def random_tensor(shape, dtype):
    values = torch.randint(0, 2 if dtype == torch.bool else 100, shape)
    return values.to(dtype)


@pytest.fixture
def path(tmp_path):
    """Where a test writes its model."""
    return tmp_path / "model.pth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


SHAPES = st.lists(st.integers(0, 5), max_size=4)


@settings(max_examples=40)
@given(
    st.dictionaries(st.text(max_size=8), st.tuples(SHAPES, st.sampled_from(DTYPES)), min_size=1),
    st.sampled_from(FORMATS),
)
def test_our_reader_gives_what_torch_gives(folder, wanted, form):
    weights = {name: random_tensor(shape, dtype) for name, (shape, dtype) in wanted.items()}
    if any(0 in tensor.shape and max(tensor.shape) > 1 for tensor in weights.values()):
        return  # refused: an empty tensor could be as long as it likes
    path = folder / "model.pth"
    torch.save(weights, path, **form)
    same(read_weights(path, whole), torch.load(path, weights_only=False))
    try:
        save_file(weights, folder / "model.safetensors")
    except UnicodeEncodeError:
        return  # half of a surrogate pair
    found = read_weights(folder / "model.safetensors", whole)
    same(
        dict(sorted(found.items())),
        dict(sorted(load_file(path.with_suffix(".safetensors")).items())),
    )


@pytest.mark.parametrize("form", FORMATS)
def test_views_of_shared_numbers_are_kept(path, form):
    base = torch.arange(60.0).reshape(3, 4, 5)
    weights = {
        "base": base,
        "turned": base.permute(2, 0, 1),
        "part": base[1:, ::2],
        "number": base[1, 2, 3],
        "parameter": torch.nn.Parameter(base[0].clone()),
    }
    torch.save(weights, path, **form)
    same(read_weights(path, whole), torch.load(path, weights_only=False))


def training_run(weights):
    """What the scripts of trainers leave beside the weights."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))], betas=(0.9, 0.99))
    return {
        "epoch": 3,
        "global_step": np.float64(1.5),
        "best": np.array([1.0, 2.0]),
        "args": argparse.Namespace(lr=1e-4, path=pathlib.PurePosixPath("a/b"), names={"x", "y"}),
        "when": datetime.timedelta(seconds=3),
        "counts": collections.Counter("abc"),
        "groups": collections.defaultdict(list, a=[1]),
        "optimizers": [optimizer.state_dict()],
        "rng": torch.get_rng_state(),
        "size": torch.Size([1, 2]),
        "kind": torch.float16,
        "device": torch.device("cpu"),
        "deep": [[(1, 2.5, None, True, b"bytes", "text", 1 << 80)]],
        "state_dict": collections.OrderedDict(weights),
    }


@pytest.mark.parametrize("form", FORMATS)
def test_checkpoint_of_a_training_run_is_loaded(tmp_path, state, form):
    path = tmp_path / "last.ckpt"
    weights = state(width=8)
    assert hasattr(weights, "_metadata"), "torch's own state dicts carry an attribute"
    torch.save(training_run(weights), path, **form)
    assert load_model(path).scale == 4


@pytest.mark.parametrize("prefix", ["", "module.", "netG."])
def test_prefixes_of_trainers_are_dropped(path, state, prefix):
    torch.save({prefix + name: value for name, value in state(width=8).items()}, path)
    assert load_model(path).scale == 4


def test_whole_model_is_refused_by_the_name_of_its_class(path):
    torch.save(torch.nn.Conv2d(3, 3, 3), path)
    with pytest.raises(UnsupportedModelError, match=r"asks for torch\.nn\.modules\.conv\.Conv2d"):
        load_model(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_surplus_weights_are_left_out_and_named(tmp_path, state, suffix, caplog):
    weights = {**state(width=8), "ema.decay": torch.ones(1), "step": torch.ones(1)}
    path = tmp_path / f"model{suffix}"
    torch.save(weights, path) if suffix == ".pth" else save_file(weights, path)
    with caplog.at_level(logging.WARNING):
        model = load_model(path)
    assert model.scale == 4
    assert "left out what its network does not have" in caplog.text
    assert "ema.decay" in caplog.text


def test_surplus_of_a_renamed_network_is_refused_as_such(path, state):
    """spandrel renames the weights of an ESRGAN, so that those too many cannot be told apart."""
    weights = dict(state(blocks=1))
    torch.save({**weights, "model.1.sub.0.RDB1.conv1.0.extra": torch.ones(1)}, path)
    try:
        assert load_model(path).scale == 4
    except UnsupportedModelError as error:
        assert "weights beyond those of its network" in str(error)
        assert "damaged" not in str(error)


def test_missing_weights_are_named(path, state):
    weights = dict(state(width=8))
    del weights["body.2.bias"]
    torch.save(weights, path)
    with pytest.raises(UnsupportedModelError, match=r"does not fit .*Missing key.*body\.2\.bias"):
        load_model(path)


def test_only_the_weights_of_the_network_are_read(path, state):
    """The numbers of an optimizer, twice as many, take no memory."""
    weights = dict(state(width=8))
    broken = {name: torch.full_like(value, float("nan")) for name, value in weights.items()}
    torch.save({"params": weights, "optimizer": broken}, path)
    assert load_model(path).scale == 4


def test_safetensors_are_told_by_their_bytes(path, state):
    save_file(dict(state(width=8)), path)
    assert load_model(path).scale == 4
