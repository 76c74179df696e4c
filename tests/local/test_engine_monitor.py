"""Progress, stopping and threads."""

import threading

import pytest
import torch

from upscale_bridge.errors import StoppedError
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor


@pytest.mark.parametrize("tile_size", [32, 96])
@pytest.mark.parametrize("factor", [1.7, 2.0, 5.0])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_progress_rises_to_its_total(
    stub, nearest, upscale, recorder, picture, tile_size, factor, channels
):
    monitor = recorder()
    images = picture(50, 70, channels, batch=2)
    upscale(stub(nearest), images, monitor, scale_factor=factor, tile_size=tile_size)
    done, totals = zip(*monitor.steps, strict=True)
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1
    assert done[-1] == pytest.approx(totals[0])
    assert max(done) <= totals[0]


def test_progress_without_a_model_reaches_its_total(stub, nearest, upscale, recorder, picture):
    monitor = recorder()
    upscale(stub(nearest), picture(10, 10, batch=2), monitor, scale_factor=0.5)
    assert monitor.steps == [(100, 200), (200, 200)]


def test_previews_are_the_tiles_of_the_result(stub, nearest, upscale, recorder, picture):
    monitor = recorder()
    result, _ = upscale(stub(nearest), picture(64, 32), monitor, scale_factor=2, tile_size=32)
    tiles = sorted(monitor.previews, key=lambda tile: not torch.equal(tile, result[0, :64]))
    assert torch.equal(torch.cat(tiles), result[0])
    assert tiles[0].dtype == torch.float32


class Lines(Monitor):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def status(self, text):
        self.said.append(text)


def test_each_tile_is_told(stub, nearest, upscale, picture):
    lines = Lines()
    upscale(stub(nearest), picture(64, 96), lines, scale_factor=2, tile_size=32)
    assert lines.said == [f"tile {index} of 6" for index in range(1, 7)]


def test_of_several_images_it_is_told_which_one(stub, nearest, upscale, picture):
    lines = Lines()
    upscale(stub(nearest), picture(64, 32, batch=3), lines, scale_factor=2, tile_size=32)
    tiles = [f"tile {index} of 2" for index in (1, 2)]
    assert lines.said == [f"image {n} of 3, {tile}" for n in (1, 2, 3) for tile in tiles]


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_stop_ends_the_run_and_leaves_the_engine_usable(
    stub, nearest, upscale, recorder, picture, stop_after
):
    model = stub(nearest)
    images = picture(128, 128)
    monitor = recorder(stop_after=stop_after)
    with pytest.raises(StoppedError):
        upscale(model, images, monitor, scale_factor=2, tile_size=32)
    # Tiles that had already begun on other threads may still be finished.
    assert stop_after <= len(monitor.previews) <= stop_after + torch.get_num_threads()
    result, _ = upscale(model, images, scale_factor=2, tile_size=32)
    assert torch.equal(result, nearest(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


def test_single_large_tile_is_stopped_between_layers(network, engine, picture):
    class Impatient(Monitor):
        checks = 0

        def check(self):
            self.checks += 1
            if self.checks == 4:
                raise StoppedError

    monitor = Impatient()
    with pytest.raises(StoppedError):
        engine.upscale(network(blocks=1), picture(40, 40), LocalUpscale(), monitor)
    assert monitor.checks == 4


def test_hosts_own_interruption_passes_through(stub, nearest, engine, picture):
    class InterruptedByHost(BaseException):
        pass

    class Host(Monitor):
        def progress(self, done, total):
            raise InterruptedByHost

    with pytest.raises(InterruptedByHost):
        engine.upscale(stub(nearest), picture(64, 64), LocalUpscale(tile_size=32), Host())
    engine.upscale(stub(nearest), picture(8, 8), LocalUpscale(), Monitor())


def test_waiting_for_the_engine_can_be_stopped(stub, nearest, engine, recorder, picture):
    entered, leave = threading.Event(), threading.Event()

    def slow(pixels):
        entered.set()
        leave.wait(20)
        return nearest(pixels)

    first = threading.Thread(
        target=engine.upscale, args=(stub(slow), picture(8, 8), LocalUpscale(), Monitor())
    )
    first.start()
    try:
        assert entered.wait(20)
        with pytest.raises(StoppedError):
            engine.upscale(stub(nearest), picture(8, 8), LocalUpscale(), recorder(stop_after=0))
    finally:
        leave.set()
        first.join()


@pytest.mark.parametrize("shared", [True, False])
def test_several_threads_get_their_own_results(network, picture, shared):
    model = network()
    engines = [Engine(Memory("cpu"))] * 4 if shared else [Engine(Memory("cpu")) for _ in range(4)]
    images = [picture(50, 60, seed=seed) for seed in range(4)]
    operation = LocalUpscale(tile_size=32)
    results = [None] * 4

    def run(index):
        results[index] = engines[index].upscale(model, images[index], operation, Monitor())[0]

    threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(4):
        alone, _ = Engine(Memory("cpu")).upscale(model, images[index], operation, Monitor())
        torch.testing.assert_close(results[index], alone, atol=1e-5, rtol=0)


def test_threads_of_the_host_are_left_as_they_were(stub, nearest, upscale, picture):
    before = torch.get_num_threads()
    upscale(stub(nearest), picture(96, 96), tile_size=32)
    assert torch.get_num_threads() == before
