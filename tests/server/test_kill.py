"""Load, signals, and kill -9 in small; benchmarks/server.py does it in earnest."""

import os
import signal
import time

import pytest

from tests.remote.host import wait_until
from tests.server import running, storms
from tests.server.running import RunningServer

pytestmark = pytest.mark.skipif(
    not running.PROCESSES.is_dir(), reason="finds the workers in /proc, which only Linux has"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RunningServer(tmp_path_factory.mktemp("running") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def pairs():
    return storms.pictures(4)


def test_load_is_served_in_turn(server, pairs):
    report = storms.load(server, clients=4, tasks=8, pairs=pairs)
    assert report.errors == []
    assert (report.delivered, report.different, report.lost) == (32, 0, 0)
    assert min(report.finished) > 0.6 * max(report.finished), report.finished


def ignores_hangup(process):
    """Tell whether a process has come so far that it ignores SIGHUP."""
    lines = (running.PROCESSES / str(process) / "status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigIgn:")]
    return bool(int(mask, 16) & 1 << (signal.SIGHUP - 1))


def test_hangup_ends_nothing(server):
    workers = server.workers()
    wait_until(lambda: all(map(ignores_hangup, workers)))
    for process in (server.process.pid, *workers):
        os.kill(process, signal.SIGHUP)
    time.sleep(0.3)
    assert server.process.poll() is None
    assert server.workers() == workers
    assert server.ready()


def test_nothing_is_lost_when_worker_and_server_are_killed(server, pairs):
    before = server.counts()
    targets = ("worker", "server", "worker")
    report = storms.kills(
        server, rounds=3, clients=3, ahead=3, longest=0.2, pairs=pairs, targets=targets, poll=0.1
    )
    assert report.errors == []
    assert (report.different, report.lost) == (0, 0)
    assert sum(report.kills.values()) == 3
    ended = {name: report.counts[name] - before[name] for name in before}
    assert ended["done"] + ended["failed"] == report.submitted, "a task was made twice"
    assert ended["failed"] == report.died <= 1
    assert report.orphans == 0, "workers outlive their listener"
    assert server.ready(), "the last worker that was killed has no successor"
