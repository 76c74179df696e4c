"""An upscaler of ours and our panel at once: refused before anything is computed or paid."""

import pytest

from tests.webui.started import BOTH, KINDS, MODEL, SENDING, part, photo, title
from upscale_bridge.local.operation import LocalUpscale

PAIRS = [(MODEL, "photio"), (title("novita"), ""), *((title(one), one) for one in SENDING)]
"""An entry, and the shell's word for the panel's service; "" for this machine."""


def both(webui, name, panel, **more):
    upscale = {"upscaler_1_name": name, "upscale_by": 2, **more}
    return webui.extras(photo(), upscale=upscale, panel={"enable": True, "operation": panel})


@BOTH
@pytest.mark.parametrize(("name", "command"), PAIRS)
def test_entry_and_panel_at_once_are_refused(vendor, webui, name, command):
    service = vendor()
    panel = KINDS[command].title if command else LocalUpscale.title
    with pytest.raises(part("host").UpscaleBridgeError, match=r"both on.*switch the panel off"):
        both(webui, name, panel)
    assert service.fake.requests == []


def test_second_upscaler_is_refused_too(vendor, webui):
    service = vendor()
    more = {"upscaler_2_name": title("photio"), "upscaler_2_visibility": 0.5}
    with pytest.raises(part("host").UpscaleBridgeError, match="both on"):
        both(webui, "Lanczos", KINDS["photio"].title, **more)
    assert service.fake.requests == []


def test_each_alone_works_after_the_refusal(vendor, webui):
    service = vendor()
    with pytest.raises(part("host").UpscaleBridgeError):
        both(webui, title("novita"), KINDS["photio"].title)
    entry = {"upscaler_1_name": title("novita"), "upscale_by": 2}
    (done,) = webui.extras(photo(), upscale=entry)
    assert (done.image.size, service.submits()) == ((48, 32), 1)
    (done,) = webui.extras(photo(), panel={"enable": True, "operation": KINDS["photio"].title})
    assert (done.image.size, service.submits()) == ((48, 32), 2)


def test_entry_that_is_chosen_and_not_run_does_not_matter(vendor, webui):
    """A second upscaler that is invisible, and one that only shrinks."""
    service = vendor()
    panel = {"enable": True, "operation": KINDS["photio"].title}
    hidden = {"upscaler_1_name": "Lanczos", "upscaler_2_name": title("novita"), "upscale_by": 2}
    assert webui.extras(photo(), upscale=hidden, panel=panel)[0].image.size == (96, 64)
    small = {"upscaler_1_name": title("novita"), "upscale_by": 0.5}
    assert webui.extras(photo(48, 32), upscale=small, panel=panel)[0].image.size == (48, 32)
    assert service.submits() == 2


def test_panel_of_the_last_extras_run_does_not_end_a_generation(vendor, webui):
    service = vendor()
    webui.extras(photo(), panel={"enable": True, "operation": KINDS["photio"].title})
    assert webui.enlarge(title("novita"), photo(), 2).size == (48, 32)
    assert webui.extras_api(photo(), upscaler_1_name=title("novita"), upscale_by=2)
    assert service.submits() == 2
