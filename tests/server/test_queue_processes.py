"""Workers that die, and many who want the same job."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.server.sockless import job
from upscale_bridge.server.sqlite_queue import SqliteQueue

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys
from pathlib import Path
from upscale_bridge.server.sqlite_queue import SqliteQueue

job = SqliteQueue(Path(sys.argv[1])).take()
print(job.id if job else "nothing", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def queue(tmp_path):
    return SqliteQueue(tmp_path)


def start(folder):
    """Start a process that takes a job and goes on for ever; return it and the job's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def end(process):
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL if os.name == "posix" else True


def test_job_of_a_killed_worker_is_tried_once_more_and_then_fails(queue, tmp_path):
    one = queue.submit(job(lifetime=5.0))
    for tries in (1, 2):
        process, found = start(tmp_path)
        assert found == one.id
        taken = queue.get(one.id)
        assert (taken.state, taken.tries) == ("running", tries)
        assert queue.take() is None  # it lives
        end(process)
    assert queue.take() is None
    failed = queue.get(one.id)
    assert (failed.state, failed.worker) == ("failed", "")
    assert "died 2 times" in failed.reason
    assert failed.finished
    assert queue.take() is None


def test_job_of_a_killed_worker_goes_to_another(queue, tmp_path):
    one = queue.submit(job())
    process, _ = start(tmp_path)
    lost = queue.get(one.id)
    end(process)
    taken = queue.take()
    assert (taken.id, taken.tries) == (one.id, 2)
    assert taken.worker != lost.worker
    assert queue.finish(taken, "x.png")


def test_threads_that_race_get_each_job_once(tmp_path):
    queues = [SqliteQueue(tmp_path), SqliteQueue(tmp_path)]
    jobs = {queues[0].submit(job(customer)).id for customer in "abc" for _ in range(8)}
    gate, taken = threading.Barrier(6), []

    def work(queue):
        gate.wait()
        while (one := queue.take()) is not None:
            taken.append(one.id)
            queue.finish(one, "x")

    threads = [threading.Thread(target=work, args=(queue,)) for queue in queues * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(jobs)


def test_threads_that_submit_with_one_key_make_one_job(tmp_path):
    queues = [SqliteQueue(tmp_path), SqliteQueue(tmp_path)]
    gate, made = threading.Barrier(6), []

    def submit(queue):
        gate.wait()
        made.append(queue.submit(job(key="k", digest="d")).id)

    threads = [threading.Thread(target=submit, args=(queue,)) for queue in queues * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1
