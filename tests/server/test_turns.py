"""What brings turns to workers, with real brokers and a line to them that is cut."""

import threading
import time

import pytest
from kombu.asynchronous import set_event_loop

from tests.remote.host import wait_until
from tests.server.clusters import Cable, RabbitMQ, Redis

turns = pytest.importorskip("upscale_bridge.server.cluster.turns")

BROKERS = [
    Redis,
    pytest.param(
        RabbitMQ,
        marks=pytest.mark.skipif(not RabbitMQ.PROGRAM, reason="RabbitMQ is not installed"),
    ),
]


@pytest.fixture(params=BROKERS, ids=["Redis", "RabbitMQ"])
def broker(request, tmp_path):
    made = request.param(tmp_path)
    made.start()
    yield made
    made.kill()
    set_event_loop(None)  # a process has one worker, and one loop for it


@pytest.fixture
def cable(broker, monkeypatch):
    monkeypatch.setattr(turns, "_ANSWER_SECONDS", 1.0)
    made = Cable(broker.port)
    yield made
    made.close()


def test_turns_are_counted_taken_and_acknowledged(broker, monkeypatch):
    monkeypatch.setattr(turns.state, "should_stop", None)  # the test's end takes it back
    taken, stop = [], threading.Event()

    def turn():
        taken.append(time.monotonic())

    with turns.Turns(broker.url) as here, turns.Turns(broker.url) as there:
        assert here.under_way() == 0
        here.announce(3)
        wait_until(lambda: here.under_way() == 3)
        worker = threading.Thread(target=there.work, args=(turn, stop))
        worker.start()
        wait_until(lambda: len(taken) == 3)
        here.announce(1)
        wait_until(lambda: len(taken) == 4)
        stop.set()
        worker.join(20)
        assert not worker.is_alive()
        assert here.under_way() == 0


def test_line_that_goes_dead_costs_a_listener_no_more_than_its_time(broker, cable):
    """Nobody tells a program that what it sends to a broker arrives nowhere."""
    with turns.Turns(broker.url) as direct, turns.Turns(cable.through(broker.url)) as listener:
        listener.announce(1)
        wait_until(lambda: direct.under_way() == 1)
        cable.cut()
        began = time.monotonic()
        listener.announce(1)
        assert listener.under_way() == 0
        assert time.monotonic() - began < 10
        cable.mend()

        def comes():
            listener.announce(1)
            return direct.under_way() >= 2

        wait_until(comes, 20)
        broker.kill()
        broker.start()
        wait_until(comes, 20)
