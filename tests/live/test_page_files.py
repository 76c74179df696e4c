"""Files that come into ComfyUI's page from elsewhere, and what must not leave it."""

import base64
import json
import re
import socketserver
import threading
import urllib.request
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.live import pages
from tests.live.host import KEYS, LOAD, NAMES, ask, node, running

pytestmark = pages.pytestmark

PANELS = ".upscale-bridge-panel"
PROMPT = "app.graphToPrompt().then(({ output }) => output)"
DROP = """([name, type, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type }));
    const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
    app.canvas.canvas.dispatchEvent(event);
}"""
ENDED = "Name another host in NOVITA_BASE_URL, or set when_unavailable to run locally"
ABSENT = f"{ENDED}, download if needed."
FOREIGN = [  # a node's class and values, the button it offers, what it says
    ("LocalESRGANUpscale", {"model": "theirs"}, "", ["There is no model 'theirs' here. Put its"]),
    (
        "LocalESRGANUpscale",
        {"model": "4x-UltraSharp"},
        "Download",
        ["Not on this machine yet: 67 MB from huggingface.co,"],
    ),
    ("NovitaUpscale", {}, "", ["Novita ended its Upscale API", ABSENT]),
    ("NovitaUpscaleToResolution", {}, "", ["Novita ended its Image Upscaling API", f"{ENDED}."]),
    ("NovitaUpscaleV2", {}, "Set the key", ["deprecated", "There is no key for Novita.", ABSENT]),
    ("PhotioUpscale", {}, "Set the key", ["There is no key for Photio."]),
    ("WaveSpeedUpscale", {}, "Set the key", ["There is no key for WaveSpeed."]),
    (
        "WaveSpeedUpscale",
        {"when_unavailable": "run locally"},
        "Set the key",
        ["There is no key for WaveSpeed.", "UpscaleBridge-x4 runs here."],
    ),
]


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI with keys in its environment and in its file, and a stand-in of the services."""
    base, key = tmp_path_factory.mktemp("comfyui"), KEYS["environment"]
    with FakeService(key=key) as service, running(base, service, key) as started:
        for name in NAMES:
            ask(started, "/upscale_bridge/keys", {"name": name, "key": KEYS["file"]})
        yield started


@pytest.fixture(scope="module")
def outside():
    """A proxy that lets nothing through; `calls` are what wanted to leave this machine."""

    class Refuse(socketserver.StreamRequestHandler):
        def handle(self):
            self.server.calls.append(self.rfile.readline())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse) as server:
        server.calls = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, outside):
    """A ComfyUI with neither keys, nor other hosts, nor a network."""
    proxy = f"http://127.0.0.1:{outside.server_address[1]}"
    base, vendors = tmp_path_factory.mktemp("comfyui"), SimpleNamespace(base_url="")
    with ExitStack() as until_the_end:
        with pytest.MonkeyPatch.context() as patch:  # at the start only: the browser starts later
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                patch.setenv(name, proxy)
                patch.setenv(name.lower(), proxy)
            patch.delenv("no_proxy", raising=False)
            patch.setenv("NO_PROXY", "127.0.0.1")
            patch.setattr(urllib.request, "_opener", None)  # it would keep the proxy
            started = until_the_end.enter_context(running(base, vendors))
        yield started


@pytest.fixture
def there(elsewhere, browser):
    """Its page."""
    with pages.showing(elsewhere, browser) as opened:
        yield opened


def drop(page, name, kind, data):
    """Let a file fall on the page."""
    page.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])


def saved(comfyui, entry):
    """Return the path of the picture that a run has saved."""
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    ((item,),) = [output["images"] for output in entry["outputs"].values() if "images" in output]
    return comfyui.base / item["type"] / item["subfolder"] / item["filename"]


CHANGED = {
    "LocalESRGANUpscale": ("1 Upscale an image", "scale_factor", 1.5),
    "WaveSpeedUpscale": ("WaveSpeed Upscale", "attempt", 2),
}


@pytest.fixture(params=CHANGED)
def picture(request, comfyui, page):
    """A node's saved picture, after an earlier run of other values, and the prompt it came from."""
    name, widget, value = CHANGED[request.param]
    pages.load(page, name)
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.finish(comfyui, page)
    pages.set_widget(page, request.param, widget, value)
    sent = page.evaluate(PROMPT)
    return saved(comfyui, pages.finish(comfyui, page)), sent


def test_a_picture_brings_its_workflow_back(page, picture):
    path, sent = picture
    page.evaluate("app.graph.clear()")
    pages.expect(page.locator(PANELS)).to_have_count(0)
    drop(page, path.name, "image/png", path.read_bytes())
    pages.expect(pages.panel(page)).to_contain_text("→")
    assert page.evaluate(PROMPT) == sent


def test_a_picture_holds_neither_key_nor_address(comfyui, picture):
    path, _ = picture
    with Image.open(path) as image:
        data = path.read_bytes() + json.dumps(image.text).encode()
    assert b"LoadImage" in data
    address = comfyui.service.base_url.partition("//")[2]
    assert not [text for text in (*KEYS.values(), address) if text.encode() in data]


def test_each_node_of_a_foreign_workflow_says_what_is_missing(there, outside):
    prompt = {"1": LOAD}
    for number, (kind, values, _, _) in enumerate(FOREIGN, 2):
        prompt[str(number)] = node(kind, image=["1", 0], **values)
    outside.calls.clear()
    drop(there, "workflow.json", "application/json", json.dumps(prompt).encode())
    pages.expect(there.locator(PANELS)).to_have_count(len(FOREIGN))
    for place, (_, _, way, texts) in enumerate(FOREIGN):
        told = there.locator(PANELS).nth(place)
        for text in texts:
            pages.expect(told).to_contain_text(text)
        assert told.locator("button").all_text_contents() == ([way] if way else [])
    assert not outside.calls


def test_without_a_network_a_node_says_what_to_do(there, elsewhere, outside):
    ask(elsewhere, "/upscale_bridge/keys", {"name": "wavespeed", "key": KEYS["file"]})
    pages.load(there, "WaveSpeed Upscale")
    pages.set_widget(there, "WaveSpeedUpscale", "target_resolution", "2k")
    pages.expect(pages.panel(there)).to_contain_text("→ 2048 × 2048 px")  # noqa: RUF001
    pages.expect(pages.panel(there)).not_to_contain_text("no key")
    pages.start(there)
    error = pages.panel(there).get_by_role("alert")
    pages.expect(error).to_contain_text("Cannot reach api.wavespeed.ai", timeout=pages.LONG)
    pages.expect(error).to_contain_text("nothing is billed; check the connection")
    assert outside.calls
    there.keyboard.press("Escape")  # ComfyUI before 0.20 opens a dialog as well
    pages.set_widget(there, "WaveSpeedUpscale", "when_unavailable", "run locally")
    pages.expect(pages.panel(there)).to_contain_text("UpscaleBridge-x4 runs here.")
    path = saved(elsewhere, pages.finish(elsewhere, there))
    with Image.open(path) as image:
        assert max(image.size) == 2048


@pytest.mark.parametrize(
    ("kind", "attempt", "sentence"),
    [
        ("balance", 11, "WaveSpeed answered HTTP 402"),
        ("key", 12, "WaveSpeed answered HTTP 401"),
    ],
)
def test_a_refusal_is_told_without_the_key(comfyui, page, kind, attempt, sentence):
    key = KEYS["environment"]
    comfyui.service.faults["submit"].append(faults.refused(kind, f"Bearer {key} is not enough"))
    pages.load(page, "WaveSpeed Upscale")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.set_widget(page, "WaveSpeedUpscale", "attempt", attempt)
    pages.start(page)
    error = pages.panel(page).get_by_role("alert")
    pages.expect(error).to_contain_text(sentence, timeout=pages.LONG)
    pages.expect(error).to_contain_text("Bearer *** is not enough")
    pages.expect(error).to_contain_text("at https://wavespeed.ai/accesskey.")
    page.get_by_role("button", name=re.compile("Show Report|View details")).first.click()
    page.wait_for_timeout(1000)
    seen = page.content() + page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert seen.count(sentence) > 1, "ComfyUI says it as well"
    assert not [text for text in KEYS.values() if text in seen]
