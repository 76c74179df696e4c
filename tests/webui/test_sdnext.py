"""What SD.Next and Forge Neo do differently: names for paths, sizes, lists, stops and videos."""

import math
from types import SimpleNamespace

import pytest

from tests.remote.host import states
from tests.webui.host import shown
from tests.webui.started import KINDS, MODEL, differs, lanczos, part, photo, title
from upscale_bridge.local.operation import LocalUpscale

SDNEXT = pytest.mark.parametrize("installed", ["sdnext"], indirect=True)
ALL = pytest.mark.parametrize("installed", ["forge", "reforge", "sdnext"], indirect=True)


def chosen(command):
    return {"enable": True, "operation": KINDS[command].title}


# --- SD.Next


@SDNEXT
@pytest.mark.parametrize("name", [MODEL, title("novita"), "Bridge: Novita 4x-UltraSharp"])
@pytest.mark.parametrize("scale", [1, 2, 3.7])
def test_entry_is_found_by_its_name_and_keeps_the_size(vendor, webui, name, scale):
    service = vendor()
    found = webui.enlarge(name, photo(61, 50), scale, "Upscale")
    assert found.size == (math.floor(61 * scale), math.floor(50 * scale))
    assert service.submits() == (name != MODEL)


@SDNEXT
def test_panel_runs_and_settings_are_drawn(vendor, webui):
    service = vendor()
    (done,) = webui.extras(photo(), panel=chosen("photio"))
    assert (done.image.size, service.submits()) == ((48, 32), 1)
    assert webui.opts.data_labels["upscale_bridge_keys"].label == "API keys"
    item = next(item for item in LocalUpscale.params() if item.name == "tile_size")
    drawn = webui.panel().controls[part("panel").field(LocalUpscale, item)]
    assert drawn.value == webui.opts.upscaler_tile_size


@ALL
def test_panel_is_turned_on_where_it_is_seen_to_be(webui):
    """SD.Next's own accordion is around it, and it hides the box of one of ours."""
    webui.panel()
    page = webui.scripts.scripts_postproc.page.walk()
    ours = [one for one in page if "Upscale Bridge" in str(getattr(one, "label", ""))]
    found = [type(one).__name__ for one in ours]
    assert found == (["Checkbox"] if webui.kind == "sdnext" else ["InputAccordion", "Accordion"])


@SDNEXT
@pytest.mark.parametrize(
    "way",
    [
        {"panel": chosen("novita")},
        {"upscale": {"upscaler_1_name": title("novita"), "upscale_by": 2}},
    ],
    ids=["panel", "entry"],
)
def test_stop_saves_nothing_and_the_task_goes_on(vendor, webui, way):
    service = vendor(states=states("novita", running=2))
    service.press(webui, "interrupted", "poll")
    assert webui.extras(photo(), **way) == []
    (told,) = webui.told
    begin = (
        "Upscale Bridge: Stopped; nothing was saved. A task that the service has accepted goes on"
    )
    assert told.startswith(begin)
    assert told.endswith("and is not billed again.")
    (done,) = webui.extras(photo(), **way)
    assert (done.image.size, service.submits()) == ((48, 32), 1)


@SDNEXT
@pytest.mark.parametrize(
    "text",
    [
        "Photio has no key: set PHOTIO_API_KEY, or choose a model: any.",
        'The service said "no", and nothing else.',
        "Size: 3 px, which is\nno size: 8 px, at least, is one. C:\\images: gone.",
    ],
)
def test_page_shows_all_of_an_error(webui, text):
    told = shown(str(part("host").UpscaleBridgeError(text, 422)))
    assert told.replace("\N{NO-BREAK SPACE}", " ") == f"Upscale Bridge: {text}"


@SDNEXT
def test_entry_and_panel_at_once_are_refused_before_the_second_payment(vendor, webui):
    service = vendor()
    upscale = {"upscaler_1_name": title("novita"), "upscale_by": 2}
    assert webui.extras(photo(), upscale=upscale, panel=chosen("photio")) == []
    assert "both on" in webui.told[0]
    assert service.submits() == 1
    (done,) = webui.extras(photo(), upscale=upscale)
    assert service.submits() == 1, "the first one is kept"
    assert done.info["Upscale Bridge"].startswith("Novita Upscale: ")


@SDNEXT
def test_infotext_says_nothing_of_the_image_before(vendor, webui):
    vendor()
    webui.extras(photo(), upscale={"upscaler_1_name": title("novita"), "upscale_by": 2})
    (done,) = webui.extras(photo(seed=1), upscale={"upscaler_1_name": "Lanczos", "upscale_by": 2})
    assert "Upscale Bridge" not in done.info


@SDNEXT
def test_video_is_refused_by_the_panel(webui):
    """SD.Next hands over a video without an image."""
    pp = SimpleNamespace(image=None, video="clip.mp4", info={})
    with pytest.raises(part("host").UpscaleBridgeError, match="images, not videos"):
        webui.panel().process(pp, **chosen("novita"))
    webui.panel().process(pp, enable=False, operation=LocalUpscale.title)
    assert pp.image is None


# --- lists that the host makes anew


@ALL
def test_entries_are_still_there_after_the_hosts_refresh(webui):
    before = [one.name for one in webui.shared.sd_upscalers]
    webui.start()
    for _ in range(2):
        found = webui.modelloader.load_upscalers()
        assert [one.name for one in webui.shared.sd_upscalers] == before
        assert found in (None, before)


def test_script_with_a_name_of_its_own_for_the_refresh_gets_ours_too(installed):
    """Forge Neo's `from modules.modelloader import load_upscalers`."""
    names = {"load_upscalers": installed.modelloader.load_upscalers}
    exec("class Script:\n    def ui(self):\n        return load_upscalers()", names)  # noqa: S102 (ours, two lines above)
    installed.scripts.postprocessing_scripts_data.append(
        SimpleNamespace(script_class=names["Script"])
    )
    installed.start()
    names["Script"]().ui()
    assert installed.entry(MODEL)


# --- Forge Neo's videos


def run_postprocessing_video(webui, frames, **changed):
    """Do what Forge Neo's function of this name does."""
    return webui.extras(*(photo(seed=seed) for seed in range(frames)), **changed)


WAYS = pytest.mark.parametrize(
    "way",
    [
        {"panel": chosen("photio")},
        {"upscale": {"upscaler_1_name": title("photio"), "upscale_by": 2}},
    ],
    ids=["panel", "entry"],
)


@WAYS
def test_frames_are_not_paid_for_without_the_users_word(vendor, webui, monkeypatch, way):
    service = vendor()
    client = part("host").service().client
    monkeypatch.setattr(client.hosts, "is_private", lambda vendor: False)
    with pytest.raises(part("host").UpscaleBridgeError, match=r"a video of 3 frames.*Pay for fr"):
        run_postprocessing_video(webui, 3, **way)
    assert service.fake.requests == []
    webui.opts.set("upscale_bridge_pay_for_frames", True)
    assert len(run_postprocessing_video(webui, 3, **way)) == service.submits() == 3


@WAYS
def test_frames_for_a_host_of_ones_own_are_not_refused(vendor, webui, way):
    service = vendor()
    assert len(run_postprocessing_video(webui, 2, **way)) == service.submits() == 2


def test_frames_on_this_machine_are_not_refused(webui):
    values = {"enable": True, "operation": LocalUpscale.title, "LocalUpscale_scale_factor": 2.0}
    done = run_postprocessing_video(webui, 2, panel=values)
    assert [one.image.size for one in done] == [(48, 32)] * 2


def test_batch_of_images_is_no_video(vendor, webui, monkeypatch):
    service = vendor()
    monkeypatch.setattr(part("host").service().client.hosts, "is_private", lambda vendor: False)
    run = [photo(seed=seed) for seed in range(2)]
    assert len(webui.extras(*run, panel=chosen("photio"))) == service.submits() == 2


def test_shrinking_runs_no_model(webui):
    assert differs(webui.enlarge(MODEL, photo(64, 48), 0.5), lanczos(photo(64, 48), 0.5)) == 0
