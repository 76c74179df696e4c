"""Errors: told in the Extras tab, survived in a generation, and without secrets in both."""

import traceback

import pytest

from tests.fakes import faults
from tests.remote.host import ENDED
from tests.webui.started import (
    JOBS,
    KEY,
    KINDS,
    MODEL,
    SENDING,
    differs,
    errors,
    lanczos,
    part,
    photo,
    title,
    told_by,
)

FAULTS = [  # what the vendor does, and what our API answers then
    (faults.refused("key", f"the key {KEY} is wrong"), 502),
    (faults.refused("balance", f"no money for {KEY}"), 502),
    (faults.html_200(), 502),
    (faults.drop_answer(), 502),
    (faults.refused("body", "bad"), 502),
]


def use(webui, way, name, image, scale=2, panel=None):
    """Enlarge an image in the Extras tab: by an upscaler, by its API, or with our panel."""
    if way == "panel":
        values = {"enable": True, "operation": name.removeprefix("Bridge: "), **(panel or {})}
        return webui.extras(image, panel=values)
    run = webui.extras_api if way == "api" else lambda one, **more: webui.extras(one, upscale=more)
    return run(image, upscaler_1_name=name, upscale_by=scale)


def refusal(webui, way, name, image=None, scale=2, panel=None):
    """Return the error that ends a run in the Extras tab, after looking at its form."""
    with pytest.raises(part("host").UpscaleBridgeError) as caught:
        use(webui, way, name, image or photo(), scale, panel)
    error = caught.value
    assert vars(error)["detail"] == str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert "\n" not in str(error)
    assert KEY not in told_by(error)
    assert KEY not in "".join(traceback.format_exception(error))
    return error


@pytest.mark.parametrize("way", ["tab", "api", "panel"])
@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=lambda one: getattr(one, "name", ""))
def test_error_of_a_service_is_told_in_extras(vendor, webui, way, fault, status):
    service = vendor()
    service.fake.faults["submit"].append(fault)
    error = refusal(webui, way, title("novita"))
    assert error.status_code == status
    assert service.submits() == 1


@pytest.mark.parametrize("way", ["tab", "api", "panel"])
@pytest.mark.parametrize("command", SENDING)
def test_missing_key_or_ended_service_is_told_in_extras(webui, way, command):
    error, key = refusal(webui, way, title(command)), KINDS[command].vendor.title
    ended = command in ENDED
    assert ("NOVITA_BASE_URL" if ended else f"There is no key for {key}") in str(error)
    assert error.status_code == (502 if ended else 500)


@pytest.mark.parametrize("way", ["tab", "api", "panel"])
def test_image_that_is_too_large_is_a_bad_request(vendor, webui, way):
    service = vendor()
    error = refusal(webui, way, title("novita"), photo(2050, 4))
    assert (error.status_code, "2050 x 4" in str(error)) == (422, True)
    assert service.fake.requests == []


def test_model_that_is_gone_is_a_bad_request(webui):
    webui.entry(MODEL).data_path = "upscale-bridge/LocalUpscale/nowhere"
    error = refusal(webui, "tab", MODEL)
    assert error.status_code == 422
    assert "There is no model 'nowhere'" in str(error)


def test_damaged_model_is_a_bad_request(installed, tmp_path):
    folder = tmp_path / "webui" / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    (folder / "bad.pth").write_bytes(b"<html>404</html>")
    error = refusal(installed.start(), "tab", "Bridge: bad")
    assert error.status_code == 422
    assert "bad.pth is damaged" in str(error)


def test_bad_value_of_the_panel_is_a_bad_request(webui):
    values = {"LocalUpscale_scale_factor": 99.0}
    error = refusal(webui, "panel", "Local ESRGAN Upscale", panel=values)
    assert (error.status_code, str(error)[:13]) == (422, "'Scale factor")


def test_wrong_setting_is_told_by_an_upscaler(webui):
    """The API stores any text as a setting."""
    webui.opts.set("upscale_bridge_when_unavailable", "never")
    assert "'When unavailable' must be one of" in str(refusal(webui, "tab", title("photio")))


@pytest.mark.parametrize("job", JOBS)
def test_error_does_not_end_a_generation(vendor, webui, caplog, job):
    service = vendor()
    service.fake.faults["submit"].append(faults.refused("key", f"the key {KEY} is wrong"))
    found = webui.enlarge(title("novita"), photo(), 2, job)
    assert differs(found, lanczos(photo(), 2)) == 0
    (line,) = errors(caplog)
    assert "Lanczos took the place of" in line
    assert "NovitaUpscale" in line
    assert webui.state.textinfo.startswith("Novita answered HTTP")
    assert KEY not in webui.state.textinfo + caplog.text


@pytest.mark.parametrize("scale", [1, 1.5, 9.5])
@pytest.mark.parametrize("name", [MODEL, title("photio"), title("wavespeed")])
def test_size_is_right_whatever_went_wrong_in_a_generation(webui, caplog, name, scale):
    webui.entry(MODEL).data_path = "upscale-bridge/LocalUpscale/nowhere"
    found = webui.enlarge(name, photo(61, 50), scale)
    assert differs(found, lanczos(photo(61, 50), scale)) == 0
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize("setting", ["when_unavailable", "concurrency"])
def test_wrong_setting_does_not_end_a_generation(webui, caplog, setting):
    webui.opts.set(f"upscale_bridge_{setting}", "never")
    found = webui.enlarge(title("photio"), photo(), 2)
    assert differs(found, lanczos(photo(), 2)) == 0
    assert len(errors(caplog)) == 1


def test_wrong_tile_size_does_not_end_a_generation(webui, caplog):
    webui.opts.data["ESRGAN_tile"] = -16
    found = webui.enlarge(MODEL, photo(), 2)
    assert found.size == (48, 32)


def test_image_after_an_error_is_done(vendor, webui):
    service = vendor()
    service.fake.faults["submit"].append(faults.refused("balance"))
    refusal(webui, "tab", title("novita"))
    (done,) = use(webui, "tab", title("novita"), photo())
    assert done.image.size == (48, 32)
    assert len(service.fake.tasks) == 1


def test_bug_stays_what_it_is(webui, monkeypatch):
    monkeypatch.setattr(part("host").service(), "run", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        use(webui, "tab", MODEL, photo())


def test_panel_in_a_generation_tells_its_error_too(webui):
    """The WebUI catches what a panel raises there and goes on with the image."""
    webui.state.begin("task(abc)")
    values = {"enable": True, "operation": "Photio Upscale"}
    pp = webui.modules["modules.scripts_postprocessing"].PostprocessedImage(photo())
    with pytest.raises(part("host").UpscaleBridgeError):
        webui.panel().process(pp, **values)
    assert pp.info == {}
