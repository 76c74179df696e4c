"""The same request again: kept results are reused, and tasks under way are joined."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    EACH,
    KEY,
    KINDS,
    POLLED,
    check_delivered,
    configure,
    enlarged,
    make,
    picture,
    wait_until,
)
from upscale_bridge.errors import MissingKeyError, ProviderError, SettingsError, TransportError
from upscale_bridge.remote.clock import Clock
from upscale_bridge.storage.settings import home

ROOT = Path(__file__).resolve().parents[2]
CHILD = [sys.executable, "-m", "tests.remote.child"]


def together(*runs):
    """Run functions at the same time and return what they returned."""
    found = [None] * len(runs)

    def keep(index):
        found[index] = runs[index]()

    threads = [threading.Thread(target=keep, args=(index,)) for index in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


@pytest.mark.parametrize("command", EACH)
def test_a_kept_result_needs_neither_key_nor_network(vendor, command, monkeypatch):
    check_delivered(vendor, command)
    monkeypatch.delenv(KINDS[command].vendor.key_variable)
    vendor.fake.__exit__(None)
    result = vendor.run(command)
    assert torch.equal(result.images, enlarged(command, picture()))
    assert result.info["tasks"][0]["how"] == "reused"
    with pytest.raises(TransportError, match="Nothing was submitted and nothing is billed"):
        vendor.run(command, picture(1))


def test_a_kept_result_needs_no_name_to_be_looked_up(vendor, monkeypatch):
    def unknown(host):
        raise OSError("no such name")

    monkeypatch.setenv("NOVITA_BASE_URL", f"http://localhost:{vendor.fake.port}")
    check_delivered(vendor, "novita")
    vendor.host = vendor.another(look_up=unknown)
    assert vendor.run("novita").info["tasks"][0]["how"] == "reused"


@pytest.mark.parametrize("command", EACH)
def test_another_process_reuses_and_so_does_a_new_host(vendor, command):
    check_delivered(vendor, command)
    vendor.host = vendor.another()
    assert vendor.run(command).info["tasks"][0]["how"] == "reused"
    assert vendor.submits() == 1


def test_what_makes_a_request_another_one(vendor):
    for count, changes in enumerate(
        ({}, {"scale_factor": 3.0}, {"attempt": 2}, {"model_name": "4x-UltraSharp"}), 1
    ):
        for _ in range(2):
            vendor.run("novita", **changes)
        assert len(vendor.fake.tasks) == count
    vendor.run("novita", picture(1))
    assert len(vendor.fake.tasks) == 5


@pytest.mark.parametrize(
    "changes",
    [{"result_size": "exact"}, {"when_too_large": "fit"}, {"when_unavailable": "run locally"}],
)
def test_what_the_service_is_not_told_makes_no_new_request(vendor, changes):
    check_delivered(vendor, "novita")
    vendor.run("novita", **changes)
    assert len(vendor.fake.tasks) == 1


def test_old_results_are_not_reused(vendor):
    configure(result_days=2)
    check_delivered(vendor, "novita")
    vendor.clock.ahead += 1.9 * 86400
    check_delivered(vendor, "novita")
    vendor.clock.ahead += 0.2 * 86400
    check_delivered(vendor, "novita", tasks=2)


@pytest.mark.parametrize("phase", ["submit", "poll", "download"])
@pytest.mark.parametrize("command", EACH)
def test_two_threads_share_a_task(vendor, command, phase):
    if command not in POLLED and phase != "submit":
        pytest.skip("its answer is the result")
    vendor.fake.faults[phase].append(faults.stall(0.1, silent=True))
    found = together(*[lambda: vendor.run(command)] * 4)
    assert len(vendor.fake.tasks) == 1
    assert all(torch.equal(one.images, enlarged(command, picture())) for one in found)
    hows = [one.info["tasks"][0]["how"] for one in found]
    assert hows.count("new") == 1
    assert set(hows) <= {"new", "joined", "reused"}


def test_two_hosts_of_a_process_share_a_task(vendor):
    vendor.fake.faults["submit"].append(faults.stall(0.1, silent=True))
    other = vendor.another()
    found = together(lambda: vendor.run("novita"), lambda: other.run(make("novita"), picture()))
    assert len(vendor.fake.tasks) == 1
    assert all(torch.equal(one.images, enlarged("novita", picture())) for one in found)


def test_equal_images_of_a_batch_share_a_task(vendor):
    images = picture(1, 2, 1, 1, 2)
    assert torch.equal(vendor.run("novita", images).images, enlarged("novita", images))
    assert len(vendor.fake.tasks) == 2


def test_after_a_refusal_the_next_one_tries(vendor):
    vendor.fake.faults["submit"].append(faults.refused("body"))
    images = picture(1, 1)
    with pytest.raises(ProviderError, match="Image 1 of 2"):
        vendor.run("novita", images)
    assert torch.equal(vendor.run("novita", images).images, enlarged("novita", images))
    assert len(vendor.fake.tasks) == 1


@pytest.mark.parametrize("command", ["wavespeed"])
def test_two_processes_share_a_task(remote, command):
    slow = remote(seconds=1.0)
    child = subprocess.Popen([*CHILD, command, "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: slow.fake.tasks)
    found = slow.another(clock=Clock()).run(make(command), picture())
    told = json.loads(child.communicate(timeout=60)[0].splitlines()[-1])
    assert told == {"right": True, "how": "new"}
    assert torch.equal(found.images, enlarged(command, picture()))
    assert found.info["tasks"][0]["how"] == "joined"
    assert len(slow.fake.tasks) == 1


@pytest.mark.parametrize("command", ["novita-v2", "photio", "wavespeed"])
def test_without_a_key_the_sentence_names_all_ways(vendor, command, monkeypatch):
    name = command.partition("-")[0]
    monkeypatch.delenv(f"{name.upper()}_API_KEY")
    monkeypatch.delenv(f"{name.upper()}_BASE_URL")
    with pytest.raises(MissingKeyError) as caught:
        vendor.run(command)
    ways = (f"{name.upper()}_API_KEY", f"keys set {name}", "ComfyUI", str(home() / "keys.json"))
    assert all(way in str(caught.value) for way in (*ways, "https://"))
    assert vendor.rows == []


@pytest.mark.parametrize("command", EACH)
def test_hosts_in_a_private_network_need_no_key(remote, command, monkeypatch):
    own = remote(key=None)
    monkeypatch.delenv(KINDS[command].vendor.key_variable)
    check_delivered(own, command)
    sent = {value for task in own.fake.tasks for value in task.headers.values()}
    assert not any(KEY in value for value in sent)


def test_a_key_is_not_sent_in_the_open(vendor, monkeypatch):
    monkeypatch.setenv("NOVITA_BASE_URL", f"http://localhost:{vendor.fake.port}")
    vendor.host = vendor.another(look_up=lambda host: ["93.184.215.14"])
    with pytest.raises(SettingsError, match="https"):
        vendor.run("novita")
    assert vendor.fake.requests == []
