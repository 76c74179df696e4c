"""What the WebUI is told while an image is enlarged, and what is asked of its memory."""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import states
from tests.webui.started import BOTH, JOBS, KEY, MODEL, part, photo, title
from upscale_bridge.local import workers
from upscale_bridge.local.devices import Memory
from upscale_bridge.service import Result

HERE = {"enable": True, "operation": "Local ESRGAN Upscale", "LocalUpscale_scale_factor": 2.0}
OTHER = torch.device("meta")  # the only one beside the CPU that every machine has


def numbers(state):
    return state.job_no, state.sampling_step, state.sampling_steps


def at_work(webui, job="extras", job_no=1, count=1):
    """Let the state be what it is while an image is worked on."""
    webui.state.begin(job)
    webui.progress.current_task = "task(abc)"
    webui.state.job_count, webui.state.job_no = count, job_no
    webui.state.sampling_steps, webui.state.sampling_step = 20, 7
    return numbers(webui.state)


def upscale(webui, name, image):
    entry = webui.entry(name)
    return entry.scaler.upscale(image, 2, entry.data_path)


# --- progress


@pytest.fixture
def bar(webui, monkeypatch):
    """Where the bar was after each step that the adapter was told of."""
    found, monitor = [], part("host").WebUIMonitor
    progress = monitor.progress

    def step(self, done, total):
        progress(self, done, total)
        found.append(webui.state.progress())

    monkeypatch.setattr(monitor, "progress", step)
    monkeypatch.setattr(workers, "_POLL_SECONDS", 0.01)  # a fast machine is done in a few longer
    return found


@BOTH
def test_bar_of_a_batch_rises_from_image_to_image(webui, bar):
    webui.start()
    webui.extras(*(photo(200, 150, seed=seed) for seed in range(2)), panel=HERE)
    assert bar == sorted(bar)
    assert 0.5 in bar
    assert bar[-1] == 1
    assert len(set(bar)) >= 8


def test_bar_rises_within_an_image(webui, bar):
    at_work(webui, job_no=2, count=3)
    upscale(webui, MODEL, photo(200, 150))
    assert bar == sorted(bar)
    assert len(set(bar)) >= 4
    assert 1 / 3 < bar[0] < bar[-1] == pytest.approx(2 / 3)


def test_bar_of_a_service_moves(vendor, webui, bar):
    vendor(states=states("novita", queued=2, running=3))
    at_work(webui)
    upscale(webui, title("novita"), photo())
    assert all(0 <= step <= 1 for step in bar)
    assert bar[-1] == 1


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("name", [MODEL, title("novita")])
def test_bar_of_a_generation_is_left_alone(vendor, webui, bar, job, name):
    vendor()
    before = at_work(webui, job)
    there = webui.state.progress()
    upscale(webui, name, photo())
    assert set(bar) == {there}
    assert numbers(webui.state) == before


@pytest.mark.parametrize("job_no", [0, 1, 3])
@pytest.mark.parametrize("end", ["good", "error", "stop"])
def test_numbers_of_the_host_come_back(vendor, webui, job_no, end):
    service = vendor()
    if end == "error":
        service.fake.faults["submit"].append(faults.refused("balance"))
    if end == "stop":
        service.press(webui, "skipped", "poll")
    before = at_work(webui, "extras", job_no, count=3)
    wrong = pytest.raises(part("host").UpscaleBridgeError) if end == "error" else nullcontext()
    with wrong:
        upscale(webui, title("novita"), photo())
    assert numbers(webui.state) == before


@pytest.mark.parametrize("job", ["extras", "task(abc)"])
def test_text_tells_what_is_going_on(vendor, webui, monkeypatch, job):
    vendor(states=states("novita", queued=2, running=2))
    told, monitor = [], part("host").WebUIMonitor
    monkeypatch.setattr(monitor, "status", lambda self, text: told.append(text))
    webui.enlarge(title("novita"), photo(), 2, job)
    assert told[-1].startswith("24 x 16 -> 48 x 32 by Novita Upscale (new, task ")
    assert len(told) > 1
    assert not [text for text in told if "\n" in text or KEY in text]


def test_text_is_the_summary_at_the_end(webui):
    webui.enlarge(MODEL, photo(), 2, "extras")
    assert webui.state.textinfo.startswith("24 x 16 -> 48 x 32 with UpscaleBridge-x4")


def test_notice_is_shown_and_logged(webui, caplog):
    part("host").WebUIMonitor(bar=True).notice("The licence is BSD.")
    assert webui.state.textinfo == "The licence is BSD."
    assert "Upscale Bridge: The licence is BSD." in caplog.messages


@pytest.mark.parametrize(
    ("job", "is_so"),
    [
        ("extras", True),
        ("Upscale", True),
        ("Upscale Bridge", True),
        *((job, False) for job in JOBS),
    ],
)
def test_extras_is_known_by_the_job(webui, job, is_so):
    webui.state.job = job
    assert part("host").in_extras() is is_so


def test_host_whose_scripts_are_not_made_yet_is_no_trouble(installed):
    installed.load_extension()
    installed.scripts.scripts_postproc.scripts = None
    assert part("host").in_extras() is False


# --- memory


class Module:
    """A network that tells where it is."""

    def __init__(self):
        self.place = "cpu"

    def to(self, device):
        self.place = torch.device(device).type


@pytest.fixture
def memory(webui):
    return part("host").service().engine.memory


@pytest.fixture(params=["backend.memory_management", "ldm_patched.modules.model_management"])
def manager(request, monkeypatch):
    """What was asked of Forge's or reForge's manager."""
    asked = []
    made = SimpleNamespace(
        get_free_memory=lambda device: asked.append(("get", device)) or 12345.0,
        free_memory=lambda size, device: asked.append(("free", size, device)),
    )
    monkeypatch.setitem(sys.modules, request.param, made)
    return asked


def test_device_is_the_hosts_even_when_it_changes(webui, memory):
    assert memory.device() == torch.device("cpu")
    webui.devices.device_esrgan = OTHER
    assert memory.device() == OTHER


def test_engine_has_one_memory_for_all_runs(webui, memory):
    assert memory is part("host").memory()
    webui.start()
    assert part("host").memory() is memory


def test_free_memory_is_what_the_manager_says(memory, manager, monkeypatch):
    monkeypatch.setattr(Memory, "free_bytes", lambda self, device: 777)
    assert memory.free_bytes(OTHER) == 12345
    assert manager == [("get", OTHER)]
    assert memory.free_bytes(torch.device("cpu")) == 777
    assert len(manager) == 1


def test_room_is_asked_of_the_manager(webui, memory, manager):
    before = webui.gc
    memory.make_room(99, OTHER)
    assert manager == [("free", 99, OTHER)]
    assert webui.gc == before + 1


def test_without_a_manager_the_process_is_asked(webui, memory):
    before = webui.gc
    found = memory.free_bytes(torch.device("cpu"))
    assert found is None or found > 0, "what the system tells of main memory"
    memory.make_room(99, OTHER)
    assert webui.gc == before + 1


def test_model_is_parked_when_it_was_on_a_device(webui, memory):
    webui.devices.device_esrgan, module, before = OTHER, Module(), webui.gc
    memory.place(module, OTHER)
    assert module.place == "meta"
    memory.park()
    assert module.place == "cpu"
    assert webui.gc > before
    assert not memory.placed


def test_model_is_parked_though_a_second_format_was_needed(webui, memory):
    """Numbers that overflow in half precision bring a copy in full precision to the device."""
    webui.devices.device_esrgan, half, full = OTHER, Module(), Module()
    for module in (half, half, full):
        memory.place(module, OTHER)
    memory.park()
    assert (half.place, full.place) == ("cpu", "cpu")


def test_model_on_the_cpu_stays_there(webui, memory):
    module = torch.nn.Linear(2, 2)
    before = webui.gc
    memory.place(module, torch.device("cpu"))
    memory.park()
    assert module.weight.device.type == "cpu"
    assert webui.gc == before


@pytest.mark.parametrize("end", ["good", "error", "stop", "bug"])
def test_model_is_parked_whatever_happens(webui, memory, monkeypatch, end):
    module = Module()
    webui.devices.device_esrgan = OTHER

    def run(operation, images, monitor, **options):
        memory.place(module, OTHER)
        if end == "error":
            raise part("host").InvalidInputError("image", "It is bad.")
        if end == "stop":
            webui.state.skipped = True
            monitor.check()
        if end == "bug":
            raise ZeroDivisionError
        return Result(images, {}, "done")

    monkeypatch.setattr(part("host").service(), "run", run)
    wrong = {"bug": ZeroDivisionError, "error": part("host").UpscaleBridgeError}.get(end)
    if wrong:
        with pytest.raises(wrong):
            webui.enlarge(MODEL, photo(), 2, "extras")
    else:
        webui.enlarge(MODEL, photo(), 2, "extras")
    assert module.place == "cpu"


def test_run_of_the_engine_passes_through_the_hosts_memory(webui, memory, monkeypatch):
    placed = []
    place = type(memory).place
    monkeypatch.setattr(
        type(memory), "place", lambda self, *one: (placed.append(one[1]), place(self, *one))
    )
    webui.enlarge(MODEL, photo(), 2)
    assert set(placed) == {torch.device("cpu")}
    assert not memory.placed


def test_service_is_one_for_all(webui):
    service = part("host").service()
    webui.start()
    assert part("host").service() is service


def test_folders_of_the_host_come_first_and_each_once(webui, tmp_path, own_home):
    webui.shared.cmd_opts.dat_models_path = str(tmp_path / "mine")
    models = tmp_path / "webui" / "models"
    found = part("host").model_folders()
    assert found[0] == models / "ESRGAN"
    assert tmp_path / "mine" in found
    assert models / "DAT" in found
    assert found[-1] == own_home / "models"
    assert len(set(found)) == len(found)
