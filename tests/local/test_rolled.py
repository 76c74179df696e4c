"""Networks on whole images by Winograd's way, against the same networks run plainly."""

import gc
import logging
import math
import threading
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from upscale_bridge.errors import EngineError, OutOfMemoryError, StoppedError
from upscale_bridge.images.resample import Span
from upscale_bridge.local import roll_up as rolling
from upscale_bridge.local import rolled_chain, rolled_esrgan
from upscale_bridge.local.devices import Memory, main_memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.folded_span import fold
from upscale_bridge.local.fused_esrgan import slim
from upscale_bridge.local.loader import import_spandrel
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.local.receptive_field import plain_convolutions
from upscale_bridge.local.rolled import regions
from upscale_bridge.local.tiling import Tile
from upscale_bridge.local.winograd import SEEN, TILE, Region, Stage, leaky, reach, roll
from upscale_bridge.local.workers import Team
from upscale_bridge.monitor import Monitor

CPU = torch.device("cpu")


def nothing():
    pass


def rolled_over(stages, pixels, columns=3, rows=2):
    """Run a chain over regions of this many tiles, as its users do."""
    height, width = pixels.shape[2:]
    tall, wide = math.ceil(height / TILE), math.ceil(width / TILE)
    channels = pixels.shape[1]
    source = torch.zeros(TILE * (tall + 2) + 2, TILE * wide + 2, channels)
    source[TILE + 1 : TILE + 1 + height, 1 : 1 + width] = pixels[0].permute(1, 2, 0)
    result = torch.full((TILE * tall, TILE * wide, stages[-1].outputs), math.nan)
    for top in range(0, tall, rows):
        for start in range(0, wide, columns):
            stop = min(wide, start + columns)
            region = Region((top, min(tall, top + rows)), (start, stop), height, width)
            left, right = region.widened(reach(len(stages)))

            def seen(top, left=left, right=right):
                rows = source[TILE + top : TILE + top + SEEN]
                return rows[:, TILE * left : TILE * right + 2].reshape(SEEN, -1)

            def store(row, tiles, start=start, stop=stop, left=left):
                part = tiles[:, :, start - left : stop - left].transpose(1, 2)
                place = result[TILE * row : TILE * (row + 1), TILE * start : TILE * stop]
                place.copy_(part.reshape(TILE, -1, part.shape[-1]))

            roll(stages, region, seen, store, nothing, dense=len(stages[-1].weights) > 1)
    return result[:height, :width].permute(2, 0, 1)[None]


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (37, 53), (3, 30), (41, 5)])
@pytest.mark.parametrize("layers", [1, 2, 6])
def test_a_chain_is_its_convolutions(size, layers):
    torch.manual_seed(layers)
    weights = [torch.randn(8, 8, 3, 3) * 0.15 for _ in range(layers)]
    biases = [torch.randn(8) * 0.1 for _ in range(layers)]
    slope = torch.rand(8) * 1.5 - 0.5
    slope = slope.clamp(max=1.0)
    expected = pixels = torch.randn(1, 8, *size)
    for weight, bias in zip(weights, biases, strict=True):
        expected = F.prelu(F.conv2d(expected, weight, bias, padding=1), slope)
    stages = [Stage.of(w, b, leaky(slope)) for w, b in zip(weights, biases, strict=True)]
    torch.testing.assert_close(rolled_over(stages, pixels), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(21, 30), (1, 9), (40, 40)])
def test_a_dense_chain_sees_all_before_it(size):
    torch.manual_seed(0)
    expected = pixels = torch.randn(1, 6, *size)
    stages = []
    for index, outputs in enumerate((4, 4, 4, 6)):
        weight = torch.randn(outputs, expected.shape[1], 3, 3) * 0.15
        sources = [6, *[4] * index]
        stages.append(Stage.of(weight, None, sources=sources))
        made = F.conv2d(expected, weight, padding=1)
        expected = torch.cat([expected, made], 1)
    torch.testing.assert_close(rolled_over(stages, pixels), made, atol=1e-4, rtol=0)


@pytest.fixture
def module(state):
    """Make spandrel's own network, as a replica has it; same arguments as `state`."""
    loader = import_spandrel().ModelLoader("cpu")

    def make(**shape):
        network = loader.load_from_state_dict(dict(state(**shape))).model.eval()
        fold(network.requires_grad_(False))
        slim(network)
        return network

    return make


KINDS = [
    pytest.param({"gain": 2.0}, id="Compact"),
    pytest.param({"gain": 2.0, "blocks": 1}, id="ESRGAN"),
    pytest.param({"gain": 1.5, "norm": True}, id="SPAN"),
]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("shape", KINDS)
def test_every_pixel_is_emitted_once_with_its_margin(module, monkeypatch, shape, margin, workers):
    monkeypatch.setattr(rolled_chain, "_COLUMNS", 5)
    monkeypatch.setattr(rolled_esrgan, "_COLUMNS", 5)
    monkeypatch.setattr(rolled_esrgan, "_PIECE", (9, 14))
    plain = module(**shape)
    network = rolling.roll_up(plain, 3)
    assert network is not None
    pixels = torch.rand(1, 3, 43, 54)
    wanted = Tile(Span(5, 50), Span(0, 41))
    found, times = torch.zeros(43 * 4, 54 * 4, 3), torch.zeros(43, 54)
    lock = threading.Lock()

    def store(core, window, output):
        assert window.x.start <= max(0, core.x.start - margin)
        assert window.x.stop >= min(54, core.x.stop + margin)
        assert window.y.start <= max(0, core.y.start - margin)
        assert window.y.stop >= min(43, core.y.stop + margin)
        assert output.shape == (4 * window.y.length, 4 * window.x.length, 3)
        y, x = core.y.start - window.y.start, core.x.start - window.x.start
        inner = output[4 * y : 4 * (y + core.y.length), 4 * x : 4 * (x + core.x.length)]
        with lock:
            times[core.y.start : core.y.stop, core.x.start : core.x.stop] += 1
            rows = slice(4 * core.y.start, 4 * core.y.stop)
            found[rows, 4 * core.x.start : 4 * core.x.stop] = inner

    team = Team(workers, nothing)
    with torch.inference_mode():
        network.run(pixels, wanted, margin, team, store)
        expected = plain(pixels)[0].permute(1, 2, 0)
    assert (times[:41, 5:50] == 1).all()
    assert times.sum() == 41 * 45
    assert team.take_progress() == pytest.approx(1.0)
    torch.testing.assert_close(found[:164, 20:200], expected[:164, 20:200], atol=5e-5, rtol=0)


@pytest.mark.parametrize("activation", ["relu", "prelu", "leakyrelu"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_compact_of_every_kind(activation, scale):
    import_spandrel()
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(1)
    plain = Compact(num_feat=12, num_conv=3, upscale=scale, act_type=activation).eval()
    for layer in plain.body:
        if isinstance(layer, nn.PReLU):  # trained ones exceed 1, and fall below 0
            layer.weight.data.uniform_(-0.5, 1.8)
    assert rolling.roll_up(plain.requires_grad_(False), 3) is not None


@pytest.mark.parametrize(
    ("norm", "channels", "scale", "width"),
    [(True, 3, 4, 48), (True, 3, 1, 13), (False, 3, 2, 52), (False, 1, 3, 9), (False, 4, 2, 16)],
)
def test_span_of_every_kind(module, norm, channels, scale, width):
    # Without a norm the attention would fade all that follows it, were the weights not large.
    shape = {"channels": channels, "scale": scale, "width": width}
    plain = module(norm=norm, gain=1.5 if norm else 4.0, **shape)
    assert rolling.roll_up(plain, channels) is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (50, 1), (21, 34)])
def test_span_of_images_smaller_than_it_sees(network, upscale, picture, size):
    model = network(norm=True, gain=1.5, scale=2)
    images = torch.cat([picture(*size, batch=2), torch.ones(2, *size, 1)], 3)
    with torch.inference_mode():
        plain = [model._master.model(one[None, ..., :3].permute(0, 3, 1, 2)) for one in images]
    found, report = upscale(model, images, scale_factor=2.0, tile_size=32)
    assert report.tiles == 2
    expected = torch.cat(plain).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(found[..., :3], expected, atol=1e-4, rtol=0)


def test_networks_that_are_not_known_keep_their_tiles(module):
    assert rolling.roll_up(nn.Conv2d(3, 3, 3), 3) is None


def test_a_network_that_would_differ_keeps_its_tiles(module, monkeypatch, caplog):
    plain = module()
    monkeypatch.setattr(rolling, "_TOLERANCE", 1e-9)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        assert rolling.roll_up(plain, 3) is None
    assert "using tiles" in caplog.text


@pytest.mark.parametrize(
    ("width", "height", "columns", "workers", "around", "count"),
    [
        (640, 480, 112, 1, 3, 1),
        (640, 480, 112, 2, 3, 2),  # one above the other: each stage needs fewer rows beyond
        (640, 480, 60, 1, 3, 2),
        (640, 480, 60, 3, 1, 3),
        (320, 40, 112, 2, 3, 2),
        (3, 3, 112, 8, 3, 1),
    ],
)
def test_regions_are_done_soonest_by_all_workers(width, height, columns, workers, around, count):
    whole = Tile(Span(0, width), Span(0, height))
    found = regions(whole, height, width, columns, workers, around)
    assert len(found) == count
    assert all(one.columns[1] - one.columns[0] <= columns for one in found)
    tiles = {(y, x) for one in found for y in range(*one.rows) for x in range(*one.columns)}
    assert len(tiles) == math.ceil(width / TILE) * math.ceil(height / TILE)
    first = found[0]
    beside = (width, height) == (320, 40)  # wide and low
    assert (first.columns[1] * TILE < width) == (beside or columns == 60)


def test_a_team_stops_the_others_when_one_fails():
    team = Team(2, nothing)
    stopped = []

    def fails():
        raise ValueError("broken")

    def goes_on():
        try:
            while True:
                team.check()
        except StoppedError:
            stopped.append(True)
            raise

    with pytest.raises(ValueError, match="broken"):
        team.run([goes_on, fails])
    assert stopped == [True]


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_stop_ends_the_run_within_it(network, picture, blocks):
    class Impatient(Monitor):
        checks = 0

        def check(self):
            self.checks += 1
            if self.checks > 3:  # it is asked ten times a second
                raise StoppedError

    monitor = Impatient()
    engine = Engine(Memory("cpu"))
    with pytest.raises(StoppedError):
        engine.upscale(network(blocks=blocks), picture(1000, 1000), LocalUpscale(), monitor)
    assert monitor.checks < 8


def test_progress_reaches_the_end(network, upscale, picture, recorder):
    for blocks in (0, 1):
        monitor = recorder()
        upscale(network(blocks=blocks), picture(60, 70), monitor)
        done = [step for step, _ in monitor.steps]
        assert done == sorted(done)
        assert done[-1] == pytest.approx(60 * 70)
        assert sum(area.shape[0] * area.shape[1] for area in monitor.previews) == 240 * 280


@pytest.mark.parametrize("shape", KINDS)
def test_damaged_weights_are_named(network, upscale, picture, shape):
    model = network(**shape)
    rolled = model.replica(CPU, torch.float32).rolled
    stages = rolled._end if "blocks" in shape else rolled.stages
    stages[0].bias.fill_(math.inf)
    with pytest.raises(EngineError, match="its weights are damaged"):
        upscale(model, picture(20, 20))


def test_running_out_of_memory_cuts_the_image(network, picture, monkeypatch):
    model = network(blocks=1)
    images = picture(100, 120)
    engine = Engine(Memory("cpu"))
    expected, _ = engine.upscale(model, images, LocalUpscale(), Monitor())
    rolled = model.replica(CPU, torch.float32).rolled
    run = type(rolled).run

    def scarce(self, pixels, *rest):
        if pixels.shape[2] * pixels.shape[3] > 100 * 110:
            raise MemoryError
        run(self, pixels, *rest)

    monkeypatch.setattr(type(rolled), "run", scarce)
    monkeypatch.setattr(type(rolled), "halo", 30)
    found, report = engine.upscale(model, images, LocalUpscale(), Monitor())
    assert (report.shrunk_to, report.tiles) == (60, 4)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    monkeypatch.setattr(type(rolled), "run", lambda *rest: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(OutOfMemoryError, match="even at the smallest tile"):
        engine.upscale(model, images, LocalUpscale(), Monitor())


def test_what_did_not_fit_is_gone_before_another_try(network, picture, monkeypatch):
    model = network(blocks=1)
    kind = type(model.replica(CPU, torch.float32).rolled)
    run, held = kind.run, []

    def scarce(self, pixels, *rest):
        assert all(one() is None for one in held)
        if pixels.shape[2] * pixels.shape[3] > 100 * 110:
            tensor = torch.zeros(1000)
            held.append(weakref.ref(tensor))
            rest[2].run([lambda: None, lambda: tensor.view(7)])  # fails in a thread
        run(self, pixels, *rest)

    monkeypatch.setattr(kind, "run", scarce)
    monkeypatch.setattr(kind, "halo", 30)
    monkeypatch.setattr("upscale_bridge.local.whole.is_out_of_memory", lambda error: True)
    gc.disable()
    try:
        Engine(Memory("cpu")).upscale(model, picture(100, 120), LocalUpscale(), Monitor())
    finally:
        gc.enable()
    assert held


def test_the_system_tells_its_free_memory():
    free = main_memory()
    assert free is None or free > 1 << 20


def test_networks_without_a_grid_are_known_by_their_layers(module):
    assert plain_convolutions(module()) == 4
    assert plain_convolutions(nn.Sequential(nn.Conv2d(3, 3, 3), nn.LayerNorm(3))) == 0
    assert plain_convolutions(nn.Sequential(nn.Conv2d(3, 3, 3, stride=2))) == 0
    assert plain_convolutions(nn.Sequential(nn.Conv2d(3, 3, 7))) == 0


def test_their_grid_is_not_measured(network):
    assert network().sight().grid == 1
    assert network().sight().halo == 4
    assert network(blocks=1).sight().grid == 1
