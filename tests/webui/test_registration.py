"""The entries in the WebUI's lists of upscalers, and what a start must survive."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.saved_names import read
from tests.webui.started import BOTH, KEY, MODEL, differs, part, photo
from upscale_bridge.local.library import SHIPPED_FOLDER

NAMES, PATHS = map(list, zip(*read()["webui"]["upscalers"].items(), strict=True))


def ours(webui):
    return [one for one in webui.shared.sd_upscalers if one.name.startswith("Bridge: ")]


@BOTH
def test_every_entry_is_listed_once(webui):
    assert [one.name for one in ours(webui)] == NAMES
    assert [one.data_path for one in ours(webui)] == PATHS


@BOTH
def test_two_reloads_of_the_page_keep_one_of_each(webui):
    webui.start()
    webui.start()
    webui.before_ui()
    assert [one.name for one in ours(webui)] == NAMES


@BOTH
def test_the_hosts_own_entries_stay_first(webui):
    assert [one.name for one in webui.shared.sd_upscalers][:2] == ["None", "Lanczos"]


def test_entry_of_another_extension_with_our_name_is_left_alone(installed):
    installed.load_extension()
    installed.load_upscalers()
    other = installed.upscaler.UpscalerData(MODEL, "theirs", None)
    installed.shared.sd_upscalers.append(other)
    installed.before_ui()
    assert installed.entry(MODEL) is other


def test_names_differ_by_more_than_case(webui):
    """SD upscale looks names up without regard to case."""
    names = [one.name.casefold() for one in webui.shared.sd_upscalers]
    assert len(set(names)) == len(names)


def test_entry_has_what_the_host_reports_about_it(webui):
    entry = webui.entry(MODEL)
    assert entry.scale == 4
    assert isinstance(entry.scaler, webui.upscaler.Upscaler)
    assert all(isinstance(one.scale, int) for one in ours(webui))
    assert entry.scaler.name is None, "a name makes the host look for a folder of models"


def test_files_of_the_hosts_folders_are_listed(installed, tmp_path):
    named = tmp_path / "elsewhere"
    installed.shared.cmd_opts.esrgan_models_path = str(named)
    usual = tmp_path / "webui" / "models"
    for folder in (named, usual / "RealESRGAN", usual / "DAT" / "sub"):
        folder.mkdir(parents=True)
        copy = folder / f"of {folder.name}.safetensors"
        shutil.copy(SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors", copy)
    installed.start()
    for name in ("of elsewhere", "of RealESRGAN", "sub/of sub"):
        entry = installed.entry(f"Bridge: {name}")
        assert entry.data_path == f"upscale-bridge/LocalUpscale/{name}"
    assert part("host").model_folders()[0] == named, "downloads go where the user said"


def test_no_secret_and_no_place_of_this_machine_is_in_an_entry(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    monkeypatch.setenv("NOVITA_BASE_URL", f"http://user:{KEY}@127.0.0.1:1/?token={KEY}")
    installed.start()
    text = repr([vars(one) for one in ours(installed)])
    assert KEY not in text
    assert [one.data_path for one in ours(installed)] == PATHS


def test_choice_of_list_remote_takes_effect_with_reload(webui):
    webui.opts.set("upscale_bridge_list_remote", False)
    webui.start()
    assert [one.name for one in ours(webui)] == NAMES[:1]
    webui.opts.set("upscale_bridge_list_remote", True)
    webui.start()
    assert [one.name for one in ours(webui)] == NAMES


@BOTH
def test_scan_of_subclasses_yields_nothing(webui):
    """Forge and A1111 make one of each class with the folder of the command line."""
    (kind,) = [
        one
        for one in webui.upscaler.Upscaler.__subclasses__()
        if one.__module__.startswith("upscale_bridge_webui")
    ]
    for folder in (None, "/some/where"):
        scaler = kind(folder)
        scaler.user_path = folder
        scaler.model_download_path = folder or scaler.model_path
        assert scaler.scalers == []


def test_start_makes_no_folders_and_loads_no_model(installed, tmp_path, monkeypatch, own_home):
    monkeypatch.setattr("upscale_bridge.local.loader.load_model", lambda *_: pytest.fail("loaded"))
    installed.start()
    assert not (tmp_path / "webui").exists()
    assert not own_home.exists()


def test_list_of_the_host_may_be_empty(installed):
    """As with --ui-debug-mode, which lists no upscalers at all."""
    installed.load_extension()
    installed.shared.sd_upscalers = []
    installed.before_ui()
    assert [one.name for one in installed.shared.sd_upscalers] == NAMES


def test_without_the_hook_nothing_is_listed_and_the_panel_works(installed):
    installed.load_extension()
    installed.load_upscalers()
    installed.create_ui()
    assert ours(installed) == []
    assert installed.panel().controls


@pytest.mark.parametrize("broken", ["list", "folder"])
def test_failure_while_listing_does_not_reach_the_host(installed, monkeypatch, caplog, broken):
    installed.load_extension()
    installed.load_upscalers()
    if broken == "list":
        del installed.shared.sd_upscalers
    else:
        monkeypatch.setattr(part("host").service().library, "entries", lambda: 1 / 0)
    installed.before_ui()
    assert "Upscale Bridge cannot list its upscalers." in caplog.messages


def test_failure_while_drawing_the_panel_does_not_reach_the_host(installed, monkeypatch, caplog):
    installed.load_extension()
    installed.load_upscalers()
    monkeypatch.setattr(part("panel"), "draw", lambda: 1 / 0)
    installed.create_ui()
    assert "Upscale Bridge cannot draw its panel." in caplog.messages
    assert installed.panel().controls == {}
    image = photo()
    (done,) = installed.extras_api(image)
    assert done.image is image


def test_failure_while_drawing_the_settings_does_not_reach_the_host(installed, monkeypatch, caplog):
    installed.load_extension()
    installed.load_upscalers()
    monkeypatch.setattr(part("options"), "describe_keys", lambda: 1 / 0)
    installed.create_ui()
    assert "Upscale Bridge cannot draw its settings." in caplog.messages


def test_weights_are_read_whatever_the_host_made_of_torch_load(installed, tmp_path, monkeypatch):
    """A1111's refuses files of a recent torch, and returns None for them."""
    folder = tmp_path / "webui" / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    weights = load_file(SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors")
    torch.save(weights, folder / "recent.pth")
    monkeypatch.setattr(torch, "load", lambda *_, **__: None)
    installed.start()
    image = photo(48, 32)
    found = installed.enlarge("Bridge: recent", image, 2, "extras")
    assert differs(found, installed.enlarge(MODEL, image, 2, "extras")) == 0
