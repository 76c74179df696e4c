"""The services in the WebUI's lists of upscalers: one image is one task, whatever the scale."""

import pytest

from tests.fakes import faults
from tests.webui.started import (
    BOTH,
    KINDS,
    SENDING,
    differs,
    lanczos,
    part,
    photo,
    rounded,
    title,
)

SCALES = (1, 1.5, 2, 4, 9.5, 16)


@pytest.mark.parametrize("command", [one for one in KINDS if KINDS[one].size_parameter])
def test_every_entry_that_is_listed_can_be_used(vendor, webui, command):
    service = vendor()
    assert webui.enlarge(title(command), photo(), 2, "extras").size == (48, 32)
    assert service.submits() == 1


@pytest.mark.parametrize("command", SENDING)
@pytest.mark.parametrize("scale", SCALES)
def test_one_image_is_one_task_whatever_the_scale(vendor, webui, command, scale):
    service = vendor()
    found = webui.enlarge(title(command), photo(), scale, "extras")
    assert found.size == rounded(photo(), scale)
    assert service.submits() == len(service.fake.tasks) == 1


@BOTH
@pytest.mark.parametrize("command", SENDING)
@pytest.mark.parametrize("scale", [1, 2, 9.5])
def test_hosts_own_loop_submits_once(vendor, webui, command, scale):
    """Its rounds go on as long as the image is too small."""
    service, entry = vendor(), webui.entry(title(command))
    webui.state.begin("extras")
    found = webui.upscaler.Upscaler.upscale(entry.scaler, photo(), scale, entry.data_path)
    assert found.size == rounded(photo(), scale)
    assert service.submits() == 1


@BOTH
@pytest.mark.parametrize("fault", [faults.drop_answer(), faults.refused("balance")])
def test_hosts_own_loop_does_not_try_a_failed_task_again(vendor, webui, fault):
    service, entry = vendor(), webui.entry(title("novita"))
    service.fake.faults["submit"].append(fault)
    webui.state.begin("task(abc)")
    found = webui.upscaler.Upscaler.upscale(entry.scaler, photo(), 9.5, entry.data_path)
    assert found.size == rounded(photo(), 9.5)
    assert service.submits() == 1


@pytest.mark.parametrize("command", SENDING)
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.99])
def test_shrinking_sends_nothing(vendor, webui, command, scale):
    service = vendor()
    found = webui.enlarge(title(command), photo(64, 48), scale, "extras")
    assert differs(found, lanczos(photo(64, 48), scale)) == 0
    assert service.fake.requests == []


def test_other_scale_of_the_same_task_is_reused(vendor, webui):
    service = vendor()
    for scale in (2.5, 3, 4, 16):
        webui.enlarge(title("photio"), photo(), scale, "extras")
    assert service.submits() == 1


def test_batch_in_the_tab_is_one_task_for_each(vendor, webui):
    service = vendor()
    pictures = [photo(seed=seed) for seed in range(3)]
    done = webui.extras(*pictures, upscale={"upscaler_1_name": title("photio"), "upscale_by": 9.5})
    assert [one.image.size for one in done] == [rounded(photo(), 9.5)] * 3
    assert service.submits() == 3


@pytest.mark.parametrize(
    ("command", "field", "scale", "value"),
    [
        ("novita", "scale_factor", 1, 1.25),
        ("novita", "scale_factor", 2, 2),
        ("novita", "scale_factor", 3.3, 3.3),
        ("novita", "scale_factor", 9.5, 4),
        ("novita-v2", "upscaling_resize", 1, 1),
        ("novita-v2", "upscaling_resize", 2.5, 2.5),
        ("novita-v2", "upscaling_resize", 16, 8),
        ("photio", "upscale_by", 1, 2),
        ("photio", "upscale_by", 2, 2),
        ("photio", "upscale_by", 2.1, 4),
        ("photio", "upscale_by", 9.5, 4),
        ("wavespeed", "target_resolution", 2, "2k"),
    ],
)
def test_service_is_asked_for_the_smallest_size_that_suffices(
    vendor, webui, command, field, scale, value
):
    service = vendor()
    webui.enlarge(title(command), photo(), scale, "extras")
    assert service.told()[field] == value


@pytest.mark.parametrize(("scale", "value"), [(1, "2k"), (4, "4k"), (7, "8k"), (16, "8k")])
def test_resolution_follows_the_size_that_is_wanted(vendor, webui, scale, value):
    service = vendor(preset_edges={"2k": 2048, "4k": 4096, "8k": 8192})
    found = webui.enlarge(title("wavespeed"), photo(600, 8), scale, "extras")
    assert service.told()["target_resolution"] == value
    assert found.size == rounded(photo(600, 8), scale)


@pytest.mark.parametrize("command", SENDING)
@pytest.mark.parametrize("mode", ["RGBA", "L", "P with transparency", "CMYK"])
def test_image_of_any_mode_is_sent(vendor, webui, command, mode):
    service = vendor()
    found = webui.enlarge(title(command), photo(mode=mode), 2, "extras")
    assert found.mode == ("RGBA" if mode in ("RGBA", "P with transparency") else "RGB")
    assert found.size == (48, 32)
    assert service.submits() == 1


def test_without_a_key_the_setting_runs_it_here(webui):
    webui.opts.set("upscale_bridge_when_unavailable", "run locally")
    image = photo(48, 32)
    found = webui.enlarge(title("photio"), image, 2, "extras")
    assert differs(found, lanczos(image, 2)) > 0.2


def test_payment_in_doubt_is_never_followed_by_a_run_here(vendor, webui):
    webui.opts.set("upscale_bridge_when_unavailable", "run locally")
    service = vendor()
    service.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(part("host").UpscaleBridgeError, match="tasks forget"):
        webui.enlarge(title("novita"), photo(), 2, "extras")


def test_base_url_of_the_settings_is_where_it_goes(vendor, webui, monkeypatch):
    service = vendor()
    monkeypatch.setenv("PHOTIO_BASE_URL", "http://127.0.0.1:1")
    webui.opts.set("upscale_bridge_photio_base_url", service.fake.base_url)
    webui.enlarge(title("photio"), photo(), 2, "extras")
    assert service.submits() == 1
