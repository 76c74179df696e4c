"""The remote nodes with ComfyUI's tensors and event loop, against the stand-in of the vendors."""

import asyncio
import json
import logging
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from tests.fakes import faults
from tests.nodes.conftest import KEY, InterruptProcessingException
from tests.remote.host import wait_until
from tests.vendors import profiles
from upscale_bridge.vendors import OPERATIONS

SENDING = [kind.__name__ for kind in OPERATIONS]
LONG_EDGES = {one.operation.__name__: one.long_edge for one in profiles().values()}


# --- declarations


def test_only_what_ended_or_will_end_is_marked(pack):
    marked = [name for name in SENDING if pack.NODE_CLASS_MAPPINGS[name].DEPRECATED]
    assert marked == ["NovitaUpscale", "NovitaUpscaleToResolution", "NovitaUpscaleV2"]


def test_no_node_has_a_place_for_a_key(pack):
    for name in [*SENDING, "WaveSpeedUpscaleVideo", "ResumeUpscaleTask"]:
        for inputs in pack.NODE_CLASS_MAPPINGS[name].INPUT_TYPES().values():
            assert not [field for field in inputs if "key" in field or "token" in field]


def test_open_range_begins_above_its_end(pack):
    options = pack.NODE_CLASS_MAPPINGS["NovitaUpscale"].INPUT_TYPES()["required"]["scale_factor"][1]
    assert (options["min"], options["max"]) == (1.001, 4.0)


# --- results


@pytest.mark.parametrize("name", SENDING)
def test_image_comes_back_enlarged(vendors, run, images, name):
    service = vendors()
    image, mask, info = run(name, image=images())
    size = (128, 96) if LONG_EDGES[name] else (16, 12)
    assert image.shape == (1, size[1], size[0], 3)
    assert (image.dtype, image.device.type) == (torch.float32, "cpu")
    assert torch.equal(mask, torch.zeros(1, 64, 64))
    info = json.loads(info)
    assert info["size"] == list(size)
    assert [task["how"] for task in info["tasks"]] == ["new"]
    assert len(service.tasks) == 1


def test_single_image_without_a_batch(vendors, run, images):
    vendors()
    assert run("NovitaUpscale", image=images()[0])[0].shape == (1, 12, 16, 3)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays_here_and_its_opposite_is_the_mask(vendors, run, images, channels):
    service = vendors()
    batch = images(2, channels)
    before = batch.clone()
    image, mask, _ = run("NovitaUpscale", image=batch)
    assert image.shape == (2, 12, 16, 4)
    assert mask.shape == (2, 12, 16)
    assert torch.equal(mask, 1 - image[..., -1])
    assert mask.std() > 0.01
    assert torch.equal(batch, before)
    assert all(task.image[25] == 2 for task in service.tasks), "RGB is sent (PNG colour type 2)"


@pytest.mark.parametrize("shape", [(6, 8), (1, 3, 4), (1, 64, 64), (2, 6, 8), (5, 10, 9)])
def test_mask_of_any_size_and_number_fits_the_result(vendors, run, images, shape):
    service = vendors()
    ramp = torch.linspace(0, 1, shape[-1])
    image, mask, _ = run("NovitaUpscale", image=images(3), mask=ramp.expand(shape))
    assert image.shape == (3, 12, 16, 3)
    assert mask.shape == (3, 12, 16)
    assert (mask.min() >= 0, mask.max() <= 1) == (True, True)
    for one in mask:
        assert torch.allclose(one.mean(0), torch.linspace(0, 1, 16), atol=0.2)
    assert len(service.tasks) == 3, "the mask is not sent"


@pytest.mark.parametrize("side", [1, 5])
def test_mask_is_cropped_as_the_result_was(vendors, run, images, side):
    """The middle of an image that is wider than what was asked for stays."""
    vendors()
    height, width = images(1).shape[1:3]
    middle = torch.zeros(1, side * height, side * width)
    middle[..., side * (width // 2 - 1) : side * (width // 2 + 1)] = 1
    cropped = {"resize_mode": "to size", "upscaling_resize_w": 8, "upscaling_resize_h": 16}
    image, mask, _ = run("NovitaUpscaleV2", image=images(1), mask=middle, **cropped)
    assert image.shape[1:3] == mask.shape[1:3] == (16, 8)
    assert (mask[0].mean(dim=0) > 0.5).tolist() == [False] * 2 + [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("mask", {"mask": torch.zeros(0, 6, 8)}),
        ("mask", {"mask": torch.zeros(1, 6, 8, 3)}),
        ("mask", {"mask": torch.full((1, 6, 8), 200.0)}),
        ("images", {"image": torch.full((1, 6, 8, 3), 200, dtype=torch.uint8)}),
        ("images", {"image": None}),
    ],
)
def test_what_is_no_image_or_mask_is_refused_before_anything_is_sent(
    vendors, run, images, name, inputs
):
    service = vendors()
    with pytest.raises(RuntimeError, match=f"InvalidInputError: {name} must "):
        run("NovitaUpscale", **{"image": images(), **inputs})
    assert not service.tasks


def test_result_is_no_tensor_of_inference_mode(vendors, run, images):
    vendors()
    assert not run("NovitaUpscale", image=images(2))[0].is_inference()


def test_mask_input_wins_over_alpha(vendors, run, images):
    vendors()
    image, mask, _ = run("NovitaUpscale", image=images(1, 4), mask=torch.full((1, 6, 8), 0.25))
    assert image.shape == (1, 12, 16, 4)
    assert torch.allclose(mask, torch.full((1, 12, 16), 0.25), atol=1e-6)


def test_task_is_fetched_by_its_id(vendors, run, images):
    service = vendors()
    image, _, info = run("NovitaUpscale", image=images())
    (task,) = json.loads(info)["tasks"]
    for name in (task["id"], task["request"]):
        fetched, info = run("ResumeUpscaleTask", task_id=name)
        assert torch.equal(fetched, image)
        assert json.loads(info)["tasks"][0]["id"] == task["id"]
    assert service.count("submit") == 1


def test_task_of_another_machine_is_fetched(vendors, run, images, tmp_path, monkeypatch):
    vendors()
    image, _, info = run("NovitaUpscale", image=images())
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(tmp_path / "another"))
    inputs = {"task_id": json.loads(info)["tasks"][0]["id"]}
    with pytest.raises(RuntimeError, match="InvalidInputError: This machine knows no task"):
        run("ResumeUpscaleTask", **inputs)
    fetched, _ = run("ResumeUpscaleTask", **inputs, made_by="NovitaUpscale")
    assert torch.equal(fetched, image)


@pytest.mark.parametrize("channels", [3, 4])
def test_without_a_key_it_runs_here_if_wished(
    comfy, run, images, part, loaded, caplog, monkeypatch, channels
):
    """The images were made in inference mode, and the thread of the work is in none."""
    monkeypatch.setattr(part("upscale_bridge.local.loader"), "load_model", loaded)
    with torch.inference_mode():
        batch = images(1, channels)
    inputs = {"upscaler_1": "UpscaleBridge-x4", "when_unavailable": "run locally"}
    image, _, info = run("NovitaUpscaleV2", image=batch, **inputs)
    assert image.shape == (1, 8, 16, channels)  # v2 rounds 12 down to 8
    info = json.loads(info)
    assert info["local"]["because"].startswith("MissingKeyError: ")
    assert info["tasks"] == []
    notices = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["here instead" in record.getMessage() for record in notices] == [True]


# --- together


@pytest.mark.parametrize("name", ["NovitaUpscale", "PhotioUpscale"])
def test_two_nodes_overlap(vendors, call, images, name):
    service = vendors(seconds=1.0)

    async def both():
        await asyncio.gather(call(name, image=images()), call(name, image=images(), attempt=2))

    asyncio.run(both())
    assert service.most_unfinished == 2


def test_node_that_blocks_the_loop_does_not_stop_the_work(vendors, call, images):
    service = vendors(seconds=0.6)

    async def beside_a_blocking_node():
        task = asyncio.create_task(call("NovitaUpscale", image=images()))
        await asyncio.sleep(0.05)
        wait_until(lambda: service.count("download"))  # as a node that is not async does
        await task

    asyncio.run(beside_a_blocking_node())
    assert len(service.tasks) == 1


# --- stopping


@pytest.fixture
def mailboxes(part, monkeypatch):
    """All mailboxes that nodes have made."""
    progress, made = part("nodes.progress"), []

    class Recorded(progress.Mailbox):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(progress, "Mailbox", Recorded)
    return made


@pytest.fixture
def rows(part, comfy):
    """Return what the journal holds."""
    return lambda: part("nodes.host").service().client.journal.all()


async def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def cancelled(comfy, node, ready):
    """Press Cancel as soon as `ready`; return the seconds until the node ends."""
    task = asyncio.create_task(node)
    await until(ready)
    start = time.monotonic()
    comfy.interrupted = True
    with pytest.raises(InterruptProcessingException):
        await task
    comfy.interrupted = False
    return time.monotonic() - start


def test_cancel_is_answered_at_once_and_resumed(vendors, call, run, images, comfy, rows, mailboxes):
    service = vendors(seconds=1.5)
    node = call("NovitaUpscale", image=images())
    assert asyncio.run(cancelled(comfy, node, lambda: service.count("poll"))) < 10
    assert mailboxes[0].stopped.is_set()
    wait_until(lambda: not rows()[0].owner)  # the thread has ended
    image, _, info = run("NovitaUpscale", image=images())
    assert image.shape == (1, 12, 16, 3)
    assert json.loads(info)["tasks"][0]["how"] == "resumed"
    assert len(service.tasks) == 1


def test_failure_of_a_sibling_stops_the_work(vendors, call, run, images, rows, mailboxes):
    """ComfyUI cancels what still awaits when another node fails."""
    service = vendors(seconds=1.5)

    async def beside_a_failing_node():
        task = asyncio.create_task(call("NovitaUpscale", image=images()))
        await until(lambda: service.count("poll"))
        assert not mailboxes[0].stopped.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(beside_a_failing_node())
    assert mailboxes[0].stopped.is_set()
    wait_until(lambda: not rows()[0].owner)  # the thread has ended
    polls = service.count("poll")
    time.sleep(0.6)
    assert service.count("poll") == polls
    assert rows()[0].ticket == service.tasks[0].id
    assert json.loads(run("NovitaUpscale", image=images())[2])["tasks"][0]["how"] == "resumed"
    assert len(service.tasks) == 1


def test_cancel_stops_every_node(vendors, call, images, comfy, mailboxes):
    """ComfyUI tells one node of the interruption and cancels the others."""
    service = vendors(seconds=5)

    async def both():
        nodes = [call("NovitaUpscale", image=images(), attempt=number) for number in (1, 2)]
        tasks = [asyncio.create_task(node) for node in nodes]
        await until(lambda: len(service.tasks) == 2)
        comfy.interrupted = True
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        comfy.interrupted = False
        for task in pending:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(both())
    known = (InterruptProcessingException, asyncio.CancelledError)
    assert all(isinstance(error, known) for error in found)
    assert all(mailbox.stopped.is_set() for mailbox in mailboxes)


# --- errors


def one_sentence(error):
    """Tell whether a message is one line in which nothing secret stands."""
    return "\n" not in str(error) and "Traceback" not in str(error) and KEY not in str(error)


def test_missing_key_says_how_to_set_one(run, images, comfy):
    with pytest.raises(RuntimeError, match=r"MissingKeyError: There is no key for Photio\.") as e:
        run("PhotioUpscale", image=images())
    assert type(e.value) is RuntimeError
    assert one_sentence(e.value)
    for way in ("PHOTIO_API_KEY", "keys set photio", "Upscale Bridge: API keys", str(comfy.user)):
        assert way in str(e.value)


def test_key_of_the_hosts_file_is_used(vendors, run, images, part, monkeypatch):
    service = vendors()
    monkeypatch.delenv("NOVITA_API_KEY")
    part("nodes.host").keys().set("novita", KEY)
    run("NovitaUpscale", image=images())
    assert len(service.tasks) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.refused("key", f"the key {KEY} is wrong"), "AuthError"),
        (faults.refused("balance", f"no money for {KEY}"), "QuotaError"),
        (faults.reset_after_accept(), "AmbiguousSubmitError"),
        (faults.html_200(), "AmbiguousSubmitError"),
    ],
)
def test_error_is_its_class_and_a_sentence(vendors, run, images, fault, kind):
    service = vendors()
    service.faults["submit"].append(fault)
    with pytest.raises(RuntimeError, match=f"^{kind}: ") as caught:
        run("NovitaUpscale", image=images())
    assert type(caught.value) is RuntimeError
    assert one_sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("scale_factor", 1.0), ("model_name", "other"), ("attempt", 0)]
)
def test_bad_value_is_named(run, images, name, value):
    with pytest.raises(RuntimeError, match=f"InvalidInputError: {name} must be "):
        run("NovitaUpscale", image=images(), **{name: value})


# --- what is shown


def test_progress_and_status_reach_the_node(vendors, run, images, comfy, caplog):
    vendors(queued_seconds=0.4, seconds=0.8)
    caplog.set_level(logging.INFO, "upscale_bridge")
    comfy.context = SimpleNamespace(node_id="17", prompt_id="p", list_index=None)
    run("NovitaUpscale", image=images())
    values = [value for value, _, _ in comfy.bars[0].updates]
    assert values == sorted(values)
    assert len(set(values)) >= 3
    assert values[-1] == comfy.bars[0].total == 1000
    assert {node for _, node in comfy.texts} == {"17"}
    texts = [text for text, _ in comfy.texts]
    assert any(text.startswith("queued") for text in texts)
    assert any(text.startswith("running") and text.endswith(" %") for text in texts)
    assert "8 x 6 -> 16 x 12 by Novita Upscale (new, task " in caplog.messages[-1]
    assert KEY not in "\n".join([*texts, *caplog.messages])


def test_same_line_is_not_told_again_and_again(vendors, run, images, comfy, caplog):
    vendors(seconds=1.5)
    caplog.set_level(logging.INFO, "upscale_bridge")
    comfy.context = SimpleNamespace(node_id="17", prompt_id="p", list_index=None)
    run("PhotioUpscale", image=images())
    for lines in ([text for text, _ in comfy.texts], caplog.messages):
        assert [line for line, after in pairwise(lines) if line == after] == []


def test_notices_are_all_shown(vendors, run, caplog):
    vendors()
    batch = torch.zeros(2, 4, 2050, 3)
    batch[1] = 1
    run("NovitaUpscale", image=batch, when_too_large="fit")
    notices = [text for text in caplog.messages if "was shrunk to" in text]
    assert len(notices) == 2
