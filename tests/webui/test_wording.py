"""Errors speak of what a user of the WebUI has: pages, folders, commands that can be run."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.fakes import faults
from tests.webui.started import KEY, MODEL, SENDING, part, photo, title


def refusal(webui, name):
    with pytest.raises(part("host").UpscaleBridgeError) as caught:
        webui.extras_api(photo(), upscaler_1_name=name, upscale_by=2)
    return str(caught.value)


@pytest.fixture(autouse=True)
def nothing_on_the_path(monkeypatch):
    """As with an extension, which is a folder and not installed."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.mark.parametrize("command", [one for one in SENDING if one in ("photio", "wavespeed")])
def test_missing_key_names_variable_file_and_page(webui, command, own_home):
    text = refusal(webui, title(command))
    assert f"Set {command.upper()}_API_KEY, write" in text
    assert f"into {own_home / 'keys.json'}, or see Settings / Upscale Bridge. " in text
    assert "ComfyUI" not in text
    assert "`" not in text


def test_refused_key_names_the_page(vendor, webui):
    vendor().fake.faults["submit"].append(faults.refused("key", f"the key {KEY} is wrong"))
    assert "(NOVITA_API_KEY, or see Settings / Upscale Bridge)" in refusal(webui, title("novita"))


def test_missing_model_takes_two_lines(webui):
    webui.entry(MODEL).data_path = "upscale-bridge/LocalUpscale/nowhere"
    text = refusal(webui, MODEL)
    assert "nowhere" in text
    assert text.count("ESRGAN") == 1 + text.count("RealESRGAN")
    assert re.search(r"into \S+ESRGAN \(or another of the \d+ model folders\), or choose", text)
    assert len(text.replace(str(webui.shared.models_path), "")) < 250


def test_known_model_that_is_missing_can_be_fetched_by_the_panel(webui):
    webui.entry(MODEL).data_path = "upscale-bridge/LocalUpscale/RealESRGAN_x4plus"
    text = refusal(webui, MODEL)
    assert "Switch its download on (RealESRGAN_x4plus: licence BSD-3-Clause;" in text
    assert "`" not in text


def test_stand_in_that_is_missing_can_be_fetched_by_the_panel(webui):
    webui.opts.set("upscale_bridge_when_unavailable", "run locally")
    text = refusal(webui, title("novita"))
    assert "Fetch it with the panel Upscale Bridge of the Extras tab (RealESRGAN_x4plus" in text
    assert "`" not in text


def test_command_for_a_payment_in_doubt_can_be_run(vendor, webui):
    vendor().fake.faults["submit"].append(faults.drop_answer())
    text = refusal(webui, title("novita"))
    commands = re.findall(r"`([^`]*)` in the folder ([^ ,;]+)", text)
    assert [command.split()[3:5] for command, _ in commands][-1] == ["tasks", "forget"]
    for command, folder in commands:
        assert command.startswith(f"{sys.executable} -m upscale_bridge tasks ")
        words = [*command.split()[:4], "--help"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)


def test_command_that_is_installed_is_named_alone(vendor, webui, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    vendor().fake.faults["submit"].append(faults.drop_answer())
    assert "`upscale-bridge tasks forget " in refusal(webui, title("novita"))


def test_notices_are_reworded_too(webui, caplog):
    monitor = part("host").WebUIMonitor(bar=False)
    monitor.notice("Fetch it by `upscale-bridge models download X`.")
    assert webui.state.textinfo == "Fetch it with the panel Upscale Bridge of the Extras tab."
