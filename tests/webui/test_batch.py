"""A batch: images are sent before their turn, in their order, each once, and none unasked."""

import pytest

from tests.fakes import faults
from tests.webui.started import KINDS, MODEL, differs, part, photo, title
from upscale_bridge.errors import StoppedError
from upscale_bridge.remote.clock import Clock

HOSTS = pytest.mark.parametrize("installed", ["forge", "reforge", "sdnext"], indirect=True)
WAYS = {
    "panel": {"panel": {"enable": True, "operation": KINDS["novita"].title}},
    "entry": {"upscale": {"upscaler_1_name": title("novita"), "upscale_by": 2}},
}


def photos(count, **more):
    return [photo(seed=seed, **more) for seed in range(count)]


def alone(webui, service, images, **way):
    """Return what a run of each image by itself gives, without sending anything."""
    before = service.submits()
    found = [webui.extras(image, **way)[0].image for image in images]
    assert service.submits() == before
    return found


@HOSTS
@pytest.mark.parametrize("way", WAYS)
def test_batch_is_worked_on_at_once_and_keeps_its_order(vendor, webui, way):
    service, many = vendor(clock=Clock(), seconds=0.3), photos(6)
    done = webui.extras(*many, **WAYS[way])
    assert service.fake.most_unfinished == 3, "the setting concurrency"
    assert service.submits() == 6
    for one, other in zip(done, alone(webui, service, many, **WAYS[way]), strict=True):
        assert differs(one.image, other) == 0


def test_batch_of_the_api_is_worked_on_at_once(vendor, webui):
    service, many = vendor(clock=Clock(), seconds=0.3), photos(4)
    done = webui.extras_api(*many, upscaler_1_name=title("photio"), upscale_by=2)
    assert (len(done), service.submits(), service.fake.most_unfinished) == (4, 4, 3)


def test_folder_is_worked_on_at_once(vendor, webui, tmp_path):
    service, paths = vendor(clock=Clock(), seconds=0.3), []
    for mode in ("RGB", "RGBA", "L", "CMYK", "RGB"):
        paths.append(str(tmp_path / f"{len(paths)}.tiff"))
        photo(mode=mode, seed=len(paths)).save(paths[-1])
    done = webui.extras(*paths, **WAYS["panel"])
    assert (len(done), service.submits(), service.fake.most_unfinished) == (5, 5, 3)


def test_setting_decides_how_many(vendor, webui):
    for count in (1, 4):
        webui.opts.set("upscale_bridge_concurrency", count)
        service = vendor(clock=Clock(), seconds=0.2)
        webui.extras(*photos(4, width=20 + count), **WAYS["panel"])
        assert (service.submits(), service.fake.most_unfinished) == (4, count)


def test_infotexts_are_those_of_each_image(vendor, webui):
    vendor()
    done = webui.extras(*photos(4), **WAYS["panel"])
    tasks = [one.info["Upscale Bridge result"] for one in done]
    assert len(set(tasks)) == 4
    assert all("Novita Upscale (new, task " in text for text in tasks)


def test_same_image_twice_is_one_task(vendor, webui):
    service = vendor()
    done = webui.extras(photo(), photo(seed=1), photo(), photo(), **WAYS["panel"])
    assert (len(done), service.submits()) == (4, 2)
    assert differs(done[0].image, done[3].image) == 0


def test_entry_sends_no_image_of_another_size_ahead(vendor, webui):
    """The host may enlarge it by another factor."""
    service = vendor(clock=Clock(), seconds=0.3)
    many = [photo(24, 16), photo(30, 16, seed=1), photo(24, 16, seed=2)]
    done = webui.extras(*many, **WAYS["entry"])
    assert [one.image.size for one in done] == [(48, 32), (56, 32), (48, 32)]
    assert service.submits() == 3
    done = webui.extras(*(photo(w, 16, seed=w) for w in (24, 30, 36)), **WAYS["panel"])
    assert service.fake.most_unfinished == 3


def test_two_upscalers_are_sent_ahead_each(vendor, webui):
    service, many = vendor(clock=Clock(), seconds=0.2), photos(3)
    upscale = {**WAYS["entry"]["upscale"], "upscaler_2_name": title("photio")}
    done = webui.extras(*many, upscale={**upscale, "upscaler_2_visibility": 0.5})
    assert (len(done), service.submits()) == (3, 6)


def test_nothing_is_sent_ahead_of_an_image_that_was_changed_before(vendor, webui):
    """The others will be changed too, and nobody knows how."""
    service = vendor(clock=Clock(), seconds=0.2)
    upscale = {"upscaler_1_name": "Lanczos", "upscale_by": 2}
    done = webui.extras(*photos(3), upscale=upscale, **WAYS["panel"])
    assert [one.image.size for one in done] == [(96, 64)] * 3
    assert (service.submits(), service.fake.most_unfinished) == (3, 1)


def test_failure_ends_the_batch_at_its_image_and_pays_for_none_twice(vendor, webui):
    service, many = vendor(), photos(4)
    service.fake.faults["submit"].append(faults.refused("body", "bad"))
    with pytest.raises(part("host").UpscaleBridgeError, match="bad"):
        webui.extras(*many, **WAYS["panel"])
    paid = len(service.fake.tasks)
    assert paid <= 3
    assert len(webui.extras(*many, **WAYS["panel"])) == len(service.fake.tasks) == 4


def test_failed_task_that_was_sent_ahead_is_not_submitted_again(vendor, webui):
    service, many = vendor(), photos(3)
    service.fake.faults["submit"].append(faults.failed("no"))
    with pytest.raises(part("host").UpscaleBridgeError, match="says that task"):
        webui.extras(*many, **WAYS["panel"])
    assert service.submits() <= 3


def test_skip_leaves_out_one_image_and_pays_for_none_twice(vendor, webui):
    service = vendor(clock=Clock(), seconds=0.6)

    def skip(x):
        webui.state.skipped = True
        x.send(x.behave())

    service.fake.faults["poll"].append(faults.Fault("skip", skip))
    done = webui.extras(*photos(5), **WAYS["panel"])
    assert (len(done), service.submits()) == (4, 5)


def test_stop_ends_what_is_under_way(vendor, webui, monkeypatch):
    service, batch = vendor(), part("run")._batch
    check = part("host").WebUIMonitor.check

    def pressing(self):
        if len(batch._runs) == 2:
            webui.state.interrupted = True
        check(self)

    monkeypatch.setattr(part("host").WebUIMonitor, "check", pressing)
    assert webui.extras(*photos(3), **WAYS["panel"]) == []
    assert batch._runs == {}
    with pytest.raises(StoppedError):
        part("host").WebUIMonitor(bar=False).check()
    assert service.submits() <= 3


def test_local_stand_in_is_run_once(webui, monkeypatch):
    """Without a key the settings may run it here."""
    webui.opts.set("upscale_bridge_when_unavailable", "run locally")
    ran, engine = [], part("host").service().engine
    upscale = engine.upscale
    monkeypatch.setattr(
        engine, "upscale", lambda *rest, **more: ran.append(1) or upscale(*rest, **more)
    )
    upscale_with = {"upscaler_1_name": title("photio"), "upscale_by": 2}
    done = webui.extras(*photos(3), upscale=upscale_with)
    assert (len(done), len(ran)) == (3, 3)


def test_batch_on_this_machine_goes_one_by_one(webui):
    done = webui.extras(*photos(2), upscale={"upscaler_1_name": MODEL, "upscale_by": 2})
    assert [one.image.size for one in done] == [(48, 32)] * 2
