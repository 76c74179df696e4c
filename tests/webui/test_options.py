"""The section of the settings: what is chosen there, and that no key is ever there."""

import json
import re

import pytest

from tests.remote.host import configure
from tests.saved_names import read
from tests.webui.started import BOTH, KEY, KINDS, MODEL, part, photo, title
from upscale_bridge.storage.settings import Settings
from upscale_bridge.vendors import VENDORS

STORED = read()["webui"]["settings"]


def stored(webui):
    return {name: value for name, value in webui.opts.data.items() if "upscale_bridge" in name}


def keys_text(webui):
    """Return what the section tells about keys."""
    return webui.opts.data_labels["upscale_bridge_keys"].default


# --- the section


@BOTH
def test_settings_that_are_stored(webui):
    before = stored(webui)
    assert STORED.items() <= before.items()
    webui.start()
    assert stored(webui) == before


def test_section_holds_all_of_them_and_the_text_about_keys(webui):
    labels = {name: one for name, one in webui.opts.data_labels.items() if "bridge" in name}
    assert list(labels) == ["upscale_bridge_keys", *stored(webui)]
    assert [name for name in labels if name in STORED] == list(STORED)
    assert {one.section for one in labels.values()} == {("upscale_bridge", "Upscale Bridge")}


def test_the_address_of_each_vendor_is_called_by_its_title(webui):
    for vendor in VENDORS:
        drawn = webui.opts.data_labels[f"upscale_bridge_{vendor.name}_base_url"]
        assert drawn.label == f"{vendor.title} base URL"


def test_every_setting_is_drawn_with_its_help(webui):
    shapes = {"bool": "Checkbox", "int": "Number", "float": "Number", "text": "Textbox"}
    for item in Settings.params():
        drawn = webui.opts.data_labels.get(f"upscale_bridge_{item.name}")
        if f"upscale_bridge_{item.name}" in STORED:
            assert item.help in drawn.comment_after
            assert drawn.component.__name__ == shapes[item.kind]
    drawn = webui.opts.data_labels["upscale_bridge_when_unavailable"]
    assert drawn.component.__name__ == "Dropdown"
    (item,) = (one for one in KINDS["photio"].params() if one.name == "when_unavailable")
    assert drawn.component_args["choices"] == list(item.choices)
    assert webui.opts.data_labels["upscale_bridge_list_remote"].component.__name__ == "Checkbox"


def test_components_can_be_made_as_the_settings_page_does(webui):
    for name, info in webui.opts.data_labels.items():
        if "upscale_bridge" in name:
            info.component(label=info.label, value=info.default, **(info.component_args or {}))


# --- keys


def test_nothing_that_is_stored_is_named_like_a_key(webui):
    words = re.compile("key|token|secret|password|credential", re.IGNORECASE)
    assert [name for name in stored(webui) if words.search(name)] == []
    assert webui.opts.data_labels["upscale_bridge_keys"].do_not_save


def test_text_about_keys_says_found_or_not_set(installed, monkeypatch):
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    text = keys_text(installed.start())
    assert re.search(r"Novita: found \(environment", text)
    assert re.search(r"Photio: not set", text)
    assert re.search(r"WaveSpeed: not set", text)


@pytest.mark.parametrize("place", ["environment", "file"])
def test_key_is_not_in_the_page(installed, monkeypatch, own_home, place):
    if place == "environment":
        monkeypatch.setenv("WAVESPEED_API_KEY", KEY)
    else:
        own_home.mkdir()
        (own_home / "keys.json").write_text(json.dumps({"wavespeed": KEY}))
        (own_home / "keys.json").chmod(0o600)
    installed.start()
    page = "".join(str(vars(one)) for one in installed.opts.data_labels.values())
    assert "found" in page
    assert KEY not in page + json.dumps(installed.opts.data)
    assert KEY[-4:] not in keys_text(installed), (
        "every browser that reaches the WebUI gets the page"
    )


def test_broken_file_of_keys_is_told_without_what_is_in_it(installed, own_home):
    own_home.mkdir()
    (own_home / "keys.json").write_text(f'{{"novita": "{KEY}"')
    (own_home / "keys.json").chmod(0o600)
    text = keys_text(installed.start())
    assert "must hold JSON" in text
    assert KEY not in text


def test_text_about_keys_is_escaped(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(tmp_path / "<b>&home"))
    text = keys_text(installed.start())
    assert "&lt;b&gt;&amp;home" in text
    assert "<b>" not in text


def test_text_about_keys_is_new_with_every_reload(webui, monkeypatch):
    assert "Photio: not set" in keys_text(webui)
    monkeypatch.setenv("PHOTIO_API_KEY", KEY)
    assert "Photio: found" in keys_text(webui.start())


# --- what is chosen


def test_untouched_settings_leave_environment_and_file_alone(webui, monkeypatch):
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:1")
    configure(concurrency=5, photio_base_url="http://127.0.0.1:2", result_days=9)
    found = part("options").chosen_settings()
    assert found.novita_base_url == "http://127.0.0.1:1"
    assert found.photio_base_url == "http://127.0.0.1:2"
    assert (found.concurrency, found.result_days, found.task_seconds) == (5, 9, 600)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("novita_base_url", "http://127.0.0.1:3"),
        ("photio_base_url", "http://127.0.0.1:3"),
        ("wavespeed_base_url", "http://127.0.0.1:3"),
        ("concurrency", 8),
        ("task_seconds", 60),
        ("queue_seconds", 61),
        ("result_days", 30),
    ],
)
def test_touched_setting_wins(webui, monkeypatch, name, value):
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:1")
    configure(concurrency=5, task_seconds=50, queue_seconds=50, result_days=5)
    webui.opts.set(f"upscale_bridge_{name}", value)
    service = part("host").service()
    assert getattr(service.client.settings(), name) == value


def test_change_takes_effect_at_once(webui):
    settings = part("host").service().client.settings
    for days in (3, 4):
        webui.opts.set("upscale_bridge_result_days", days)
        assert settings().result_days == days


def test_settings_can_be_read_before_the_section_exists(installed):
    """Scripts are loaded before settings are drawn, and an API-only host never draws them."""
    installed.load_extension()
    assert part("options").value("list_remote") is True
    assert part("options").value("when_unavailable") == "error"
    assert part("options").chosen_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("concurrency", 0, "concurrency must be a whole number from 1 to 64; got 0."),
        ("concurrency", None, "concurrency must be a whole number"),
        ("task_seconds", "soon", "'Task seconds' must be a whole number"),
        ("photio_base_url", "http://example.com", "PHOTIO_BASE_URL"),
        ("photio_base_url", "nonsense", "PHOTIO_BASE_URL"),
    ],
)
def test_wrong_value_is_one_clear_sentence(webui, monkeypatch, name, value, said):
    monkeypatch.setattr("upscale_bridge.network.addresses.resolve", lambda *_: ["93.184.216.34"])
    part("host").service().client.hosts._look_up = lambda *_: ["93.184.216.34"]
    monkeypatch.setenv("PHOTIO_API_KEY", KEY)
    webui.opts.set(f"upscale_bridge_{name}", value)
    with pytest.raises(part("host").UpscaleBridgeError) as caught:
        webui.extras(photo(), upscale={"upscaler_1_name": title("photio"), "upscale_by": 2})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in STORED if "list" not in name])
def test_wrong_value_does_not_keep_the_host_from_starting(installed, name):
    installed.opts.data[name] = "nonsense"
    installed.start()
    assert installed.panel().controls
    assert len(installed.shared.sd_upscalers) > 3


def test_wrong_value_for_services_does_not_hinder_this_machine(webui):
    webui.opts.set("upscale_bridge_concurrency", 0)
    assert webui.enlarge(MODEL, photo(), 2, "extras").size == (48, 32)
