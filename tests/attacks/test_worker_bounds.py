"""What one task may take: its failure is its own, and its worker lives."""

import functools
import sys
import threading
import time

import numpy as np
import pytest

from tests.remote.host import wait_until
from tests.server.running import PROCESSES
from tests.server.sockless import V3, novita, ticket
from upscale_bridge.server import bounds, processing, worker, workers
from upscale_bridge.server.bounds import Bounds, limited_memory

RESULT = "/v3/async/task-result?task_id="
LINUX = pytest.mark.skipif(not PROCESSES.is_dir(), reason="only Linux has this limit")


def work(server, bounds):
    job = server.queue.take()
    worker.do(server.service, server.queue, server.files, job, threading.Event(), bounds)
    return server.queue.get(job.id)


# --- memory


@LINUX
def test_memory_beyond_the_limit_is_an_error_and_comes_back():
    import torch

    with limited_memory(100 << 20):
        with pytest.raises(MemoryError):
            bytearray(300 << 20)
        with pytest.raises(MemoryError):
            np.zeros(300 << 20, np.uint8)
        with pytest.raises(RuntimeError, match="allocate memory"):
            torch.empty(300 << 20, dtype=torch.uint8)
        assert len(bytearray(20 << 20))
    assert len(bytearray(300 << 20))


@LINUX
def test_task_that_needs_too_much_memory_fails_and_the_next_one_does_not(server, monkeypatch):
    small, large = (ticket(server.post(V3, novita(), key=key)) for key in ("sk-a", "sk-b"))
    real = processing.carry_out

    def hungry(*arguments):
        bytearray(600 << 20)
        return real(*arguments)

    monkeypatch.setattr(processing, "carry_out", hungry)
    assert work(server, Bounds(memory=300 << 20)).state == "failed"
    job = server.queue.get(small)
    assert "more memory than a task may have" in job.reason
    monkeypatch.setattr(processing, "carry_out", real)
    assert work(server, Bounds(memory=300 << 20)).state == "done"
    assert server.queue.get(large).state == "done"


def test_workers_share_the_memory():
    one, four = (Bounds().memory_of(count) for count in (1, 4))
    assert one // 4 == pytest.approx(four, abs=4)
    assert Bounds(memory=5).memory_of(4) == 5
    if sys.platform == "linux":
        assert one > 100 << 20


def test_limit_of_the_control_group_counts(tmp_path, monkeypatch):
    unit = tmp_path / "fs" / "system.slice" / "upscale-bridge.service"
    unit.mkdir(parents=True)
    (unit / "memory.max").write_text("max\n")
    (unit.parent / "memory.max").write_text("4000000\n")
    (tmp_path / "cgroup").write_text("1:memory:/x\n0::/system.slice/upscale-bridge.service\n")
    monkeypatch.setattr(bounds, "_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(bounds, "_GROUPS", tmp_path / "fs")
    assert Bounds().memory_of(3) == 1_000_000
    (tmp_path / "cgroup").write_text("0::/\n")  # as a container sees its own
    (tmp_path / "fs" / "memory.max").write_text("8000000\n")
    assert Bounds().memory_of(1) == 6_000_000


# --- time


def test_task_that_takes_too_long_fails_with_its_reason(server):
    name = ticket(server.post(V3, novita()))
    assert work(server, Bounds(seconds=-1.0)).state == "failed"
    assert "takes longer" in server.get(RESULT + name, key="sk-anna").json()["task"]["reason"]


@LINUX
def test_worker_that_hangs_is_ended_and_replaced(tmp_path, server, monkeypatch):
    """A decoder may hang where it asks nobody whether to stop."""
    monkeypatch.setattr(workers, "_GRACE_SECONDS", 0.0)
    name = ticket(server.post(V3, novita()))
    folder = server.customers.path.parent
    work = functools.partial(hang, folder)
    with workers.Workers(work, server.queue, ("cpu",), Bounds(seconds=1.0)) as running:
        first = running._processes[0].pid
        wait_until(lambda: server.queue.get(name).state == "failed")
        wait_until(lambda: running._processes[0].pid != first and running.alive())
    assert "takes longer than" in server.queue.get(name).reason


def hang(folder, device, bounds, hand):
    """Take a job and never come back."""
    from upscale_bridge.server.sqlite_queue import SqliteQueue

    job = SqliteQueue(folder).take()
    if job is not None:
        hand.take(job.id)
    time.sleep(3600)
