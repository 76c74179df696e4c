"""A cluster in small: real broker, database and object store, two listeners, workers that die.

benchmarks/cluster.py does it in earnest.
"""

import json
import time
import urllib.request
from contextlib import ExitStack

import pytest

from tests.remote.host import wait_until
from tests.server import running, storms
from tests.server.clusters import Cluster
from tests.server.listener import Listener
from tests.server.sockless import MODEL, image, opened
from upscale_bridge import cli
from upscale_bridge.server.api_clients import ApiClients
from upscale_bridge.server.app import App
from upscale_bridge.server.cluster.database import Store
from upscale_bridge.server.cluster.listener import Keeper
from upscale_bridge.server.cluster.parts import files_of
from upscale_bridge.server.cluster.queue import ClusterQueue
from upscale_bridge.server.cluster.shared import SharedPromises
from upscale_bridge.server.cluster.turns import Turns
from upscale_bridge.service import Service

pytestmark = pytest.mark.skipif(
    not running.PROCESSES.is_dir(), reason="finds the workers in /proc, which only Linux has"
)


class Here:
    """A listener's parts in this process, as `cluster.listener.serve` puts them together."""

    def __init__(self, cluster, folder, stack):
        store, turns = Store(cluster.store), Turns(cluster.broker.url)
        stack.callback(store.close)
        self.queue = ClusterQueue(store, 1000, turns.announce, lease=5.0)
        self.files = files_of(store, cluster.files, 1 << 30)
        self.customers = ApiClients(folder / "keys.json")
        self.app = App(
            Service(),
            self.queue,
            self.files,
            self.customers,
            lambda: len(self.queue.workers()),
            promises=SharedPromises(store),
        )
        stack.enter_context(turns)
        stack.enter_context(Keeper(self.queue, self.files, turns.under_way))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, s3):
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, 0, (2,), files=s3.url) as started:
        yield started


@pytest.fixture(scope="module")
def listeners(cluster, tmp_path_factory):
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("listeners")
        made = [Here(cluster, folder, stack) for _ in range(2)]
        found = [stack.enter_context(Listener(one, works=False)) for one in made]
        wait_until(lambda: len(made[0].queue.workers()) == 2, 60)
        yield found


@pytest.fixture(scope="module")
def pairs():
    return storms.pictures(4)


def customers(listeners, pairs, count, report, name="client"):
    return [
        storms.Customer(listeners[index % 2], f"{name}-{index}", pairs, report, patient=True)
        for index in range(count)
    ]


def finish(clients, seconds=60.0):
    until = time.monotonic() + seconds
    while sum(one.look() for one in clients):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_nothing_is_lost_when_a_worker_and_the_broker_are_killed(cluster, listeners, pairs):
    report = storms.Report()
    clients = customers(listeners, pairs, 3, report)
    for _ in range(5):
        for one in clients:
            one.submit()
    queue = listeners[0].server.queue
    wait_until(lambda: queue.counts()["done"] >= 4)
    assert cluster.machines[0].kill_worker()
    cluster.broker.kill()
    for one in clients:
        one.submit()  # accepted without a broker
    cluster.broker.start()
    finish(clients)
    for one in clients:
        one.close()
    assert (report.errors, report.different, report.lost, report.died) == ([], 0, 0, 0)
    assert report.delivered == 18
    assert queue.counts() == {"queued": 0, "running": 0, "done": 18, "failed": 0}
    wait_until(lambda: len(queue.workers()) == 2, 30)
    assert sum(one.done for one in queue.workers()) <= 20
    assert {MODEL} == {name for one in queue.workers() for name in one.models}


def test_what_one_listener_is_sent_the_other_one_knows(cluster, listeners):
    here, there = listeners
    asked = call(here, "/api/v3/media/uploads", {"filename": "a.png", "size": 0})["data"]
    url = asked["upload"]["url"].replace(f":{here.port}/", f":{there.port}/")
    request = urllib.request.Request(url, image(20, 10), method="PUT")
    assert urllib.request.urlopen(request).status == 200
    body = {"image": asked["download_url"], "target_resolution": "2k"}
    body["image"] = body["image"].replace(f":{here.port}/", f":{there.port}/")
    task = call(there, "/api/v3/wavespeed-ai/image-upscaler", body)["data"]["id"]
    call(here, "/api/v3/predictions/delete", {"ids": [task]})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        call(there, f"/api/v3/predictions/{task}")
    status = call(there, "/status")
    assert [one["device"] for one in status["workers"]] == ["cpu", "cpu"]
    with urllib.request.urlopen(f"{here.url}/metrics") as reply:
        metrics = reply.read().decode()
    assert "upscale_bridge_queue_age_seconds" in metrics
    assert 'upscale_bridge_worker_tasks_total{device="cpu",machine=' in metrics


def test_folder_goes_through(cluster, listeners, tmp_path, monkeypatch, capsys):
    """Results come from the object store, at addresses that it signed."""
    before = listeners[0].server.queue.counts()
    (tmp_path / "in").mkdir()
    for index in range(4):
        (tmp_path / "in" / f"{index}.png").write_bytes(image(20, 10, "RGBA", seed=index))
    monkeypatch.setenv("KEY_OF_THE_FARM", "sk-anna-0123456789")
    flags = ("--scale", "2", "--server", listeners[0].url, "--key-from", "KEY_OF_THE_FARM")
    assert cli.main(["local", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *flags]) == 0
    assert capsys.readouterr().err.count("(new, task ") == 4
    for path in sorted((tmp_path / "in").iterdir()):
        found = opened((tmp_path / "out" / path.name).read_bytes())
        assert (found.mode, found.size) == ("RGBA", (40, 20))
    assert listeners[0].server.queue.counts() == before  # it was told to forget them


def test_machine_that_is_stopped_drains_and_takes_nothing_more(cluster, listeners, pairs):
    report = storms.Report()
    clients = customers(listeners, pairs, 2, report, "other")
    queue, machine = listeners[0].server.queue, cluster.machines[0]
    before = queue.counts()["done"]
    for _ in range(10):
        for one in clients:
            one.submit()
    wait_until(lambda: queue.counts()["running"])
    machine.process.terminate()
    assert machine.process.wait(60) == 0
    counts = queue.counts()
    assert counts["running"] == 0
    assert counts["failed"] == 0
    assert counts["queued"] + counts["done"] == before + 20
    assert counts["queued"]
    assert queue.workers() == []
    for one in clients:
        one.close()


def call(listener, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer sk-anna", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(listener.url + path, data, headers)) as got:
        return json.load(got)
