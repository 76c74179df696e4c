"""The training itself: where it begins, that it goes on after a stop, and what it leaves."""

import argparse
import json
import math
from pathlib import Path

import pytest
import torch
import train
from loss import charbonnier, decibels
from model import FEATURES, LAYERS, REACH, Compact, start_as_interpolation
from pool import Pool
from safetensors import safe_open
from torch.nn import functional

from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.local.loader import load_model

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = SHIPPED_FOLDER / f"{train.NAME}.safetensors"
CPU = torch.device("cpu")
OPTIONS = argparse.Namespace(rate=1e-3, seconds=100.0)


@pytest.fixture
def small():
    torch.manual_seed(0)
    model = Compact(24, 2)
    start_as_interpolation(model, torch.rand(16, 5, 5) / 25)
    return model


def pairs(seed, count=8):
    generator = torch.Generator().manual_seed(seed)
    high = torch.rand(count, 3, 32, 32, generator=generator) * 255
    return functional.avg_pool2d(high, 4), high


def weights(training):
    return [*training.model.state_dict().values(), *training.average.state_dict().values()]


def test_first_weights_are_the_interpolation_asked_for(small):
    torch.manual_seed(1)
    filters = torch.randn(16, 5, 5)
    start_as_interpolation(small, filters)
    small.body[-1].weight.data[:, 15:] = 0  # the small random part
    low = torch.rand(1, 3, 12, 12)
    planes = functional.conv2d(low.transpose(0, 1), filters[:, None], padding=REACH)
    expected = functional.pixel_shuffle(planes, 4).transpose(0, 1)
    inside = slice(16, -16)  # the border of each layer is zero, not that of the picture alone
    found = small(low)[..., inside, inside]
    assert torch.allclose(found, expected[..., inside, inside], atol=1e-5)


def test_a_stopped_training_goes_on_as_if_it_had_not(small, tmp_path):
    whole = train.Training(small, OPTIONS, CPU)
    whole.take_chunk(*pairs(0))
    whole.save(tmp_path / "checkpoint.pt")
    resumed = train.Training(Compact(24, 2), OPTIONS, CPU)
    resumed.load(tmp_path / "checkpoint.pt")
    for training in (whole, resumed):
        training.take_chunk(*pairs(1))
    assert resumed.progress == whole.progress
    assert resumed.progress.step == 2 * train.BATCHES
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_a_loss_that_is_no_number_is_undone(small):
    training = train.Training(small, OPTIONS, CPU)
    training.take_chunk(*pairs(0))
    training.note(1.0)
    good = [value.clone() for value in training.average.state_dict().values()]
    low, high = pairs(1)
    training.note(training.take_chunk(low * math.nan, high).item())
    assert all(map(torch.equal, weights(training), good * 2))
    assert training.rate == OPTIONS.rate / 2
    assert training.progress.restarts == 1
    assert math.isfinite(training.take_chunk(low, high).item())


@pytest.mark.parametrize("seconds", [0.0, 99.0])
def test_both_losses_teach(small, seconds):
    training = train.Training(small, argparse.Namespace(rate=3e-3, seconds=100.0), CPU)
    training.progress.step = train.WARM_UP
    training.progress.seconds = seconds
    measure = charbonnier if seconds == 0 else decibels
    low, high = pairs(0)
    with torch.no_grad():
        before = measure(training.model(low / 255), high / 255)
    training.progress.seconds = min(seconds, 60.0)  # where the rate is not yet next to nothing
    for _ in range(10):
        training.take_chunk(low, high)
    with torch.no_grad():
        assert measure(training.model(low / 255), high / 255) < before


def test_decibels_count_every_picture_alike():
    target = torch.rand(2, 3, 16, 16)
    errors = torch.randn(1, 3, 16, 16) * torch.tensor([0.02, 0.2]).view(2, 1, 1, 1)
    both = decibels(target + errors, target)
    apart = [decibels(target[i : i + 1] + errors[i : i + 1], target[i : i + 1]) for i in (0, 1)]
    assert both == pytest.approx(float(sum(apart)) / 2, abs=1e-4)


def test_the_rate_rises_then_falls_to_a_thousandth():
    assert train.rate_factor(0, 0.0) < 0.01
    assert train.rate_factor(train.WARM_UP, 0.0) == pytest.approx(1)
    assert train.rate_factor(train.WARM_UP, 0.5) == pytest.approx(0.5, abs=0.01)
    assert train.rate_factor(train.WARM_UP, 1.0) == pytest.approx(0.001)


def test_pools_take_scenes_in_order_and_keep_them(tmp_path):
    pool = Pool(tmp_path, 1, train.KEPT_APART + 3)
    stock = train.Stock(3, CPU)
    pool.scenes[-3] = 7
    pool.ready[: train.KEPT_APART + 1] = 1
    pool.ready[-1] = 1  # the one before it is not there yet
    train.refill(stock, pool)
    assert stock.count == 1
    again = Pool(tmp_path, 1, train.KEPT_APART + 3)
    again.ready[-2] = 1
    train.refill(stock, again)
    assert stock.count == 3
    assert (stock.scenes[0] == 7).all()


def test_the_shipped_file_is_what_the_record_says():
    record = json.loads((ROOT / "training/record.json").read_text(encoding="utf-8"))
    with safe_open(SHIPPED, "pt") as file:
        details = file.metadata()
        count = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    assert details["name"] == record["name"] == train.NAME
    assert details["version"] == record["version"] == train.VERSION
    assert int(details["seed"]) == record["seed"]
    assert int(details["steps"]) in [check["step"] for check in record["checks"]]
    assert count == record["parameters"] == sum(p.numel() for p in Compact().parameters())
    assert (record["features"], record["layers"]) == (FEATURES, LAYERS)
    assert SHIPPED.stat().st_size <= 4 << 20


def test_the_shipped_file_is_the_network_that_is_trained():
    """spandrel's network with these weights gives what ours gives."""
    model = load_model(SHIPPED)
    assert (model.architecture, model.scale, model.version) == ("RealESRGAN Compact", 4, "2")
    ours = Compact()
    with safe_open(SHIPPED, "pt") as file:
        ours.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    low = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        expected = ours(low).clamp(0, 1)
    found, finite = model.replica(CPU, torch.float32)(low)
    assert finite
    assert torch.allclose(found, expected, atol=1e-5)
