"""The templates in ComfyUI's page and as prompts, without keys and without a network.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install playwright`; CHROMIUM
names the browser.
"""

import json
import urllib.request
from itertools import combinations
from types import SimpleNamespace

import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api")

from tests.live.test_comfyui import pictures
from tests.live.test_page import WORKFLOWS, browser, load, page, pytestmark
from tests.live.test_remote_nodes import Server

__all__ = ["browser", "page", "pytestmark"]  # fixtures and marks of the neighbour

NOWHERE = "http://127.0.0.1:9"  # as a proxy: whatever leaves this machine fails
NOTE = "MarkdownNote"
PROMPTS = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((WORKFLOWS / "api").glob("*.json"))
}
LOCAL = [  # the others need a service; test_remote_nodes.py has one
    name
    for name, prompt in PROMPTS.items()
    if all(
        item["class_type"] != "ResumeUpscaleTask"
        and item["inputs"].get("when_unavailable") != "error"
        for item in prompt.values()
    )
]
SIZES = {"first.png": (40, 24), "second.jpg": (30, 50), "third.webp": (64, 64)}
RECTANGLES = """app.graph.nodes.map((node) => {
    const [x, y] = node.pos, title = LiteGraph.NODE_TITLE_HEIGHT;
    const closed = node.flags.collapsed;
    const [width, height] = closed ? [node._collapsed_width ?? 200, 0] : node.size;
    return [node.title, x, y - title, x + width, y + height];
})"""


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI with neither keys, nor other hosts, nor a network; one folder of pictures."""
    base = tmp_path_factory.mktemp("comfyui")
    started = Server(base, SimpleNamespace(base_url=""))
    for prompt in PROMPTS.values():
        for item in prompt.values():
            if "folder" in item["inputs"]:
                fill(base / "input" / item["inputs"]["folder"])
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                patch.setenv(name, NOWHERE)
                patch.setenv(name.lower(), NOWHERE)
            patch.delenv("no_proxy", raising=False)
            patch.setenv("NO_PROXY", "127.0.0.1")
            patch.setattr(urllib.request, "_opener", None)  # it would keep the proxy
            started.start()
        yield started
    finally:
        if started.process:
            started.stop()


def fill(folder):
    folder.mkdir()
    for name, size in SIZES.items():
        Image.linear_gradient("L").convert("RGB").resize(size).save(folder / name)


def check(comfyui, name, entry):
    """Look at what a run has saved."""
    prompt = PROMPTS[name]
    (save,) = [key for key, item in prompt.items() if item["class_type"] == "SaveImage"]
    sizes = [image.size for image in pictures(comfyui, entry, save)]
    with Image.open(comfyui.base / "input" / "example.png") as example:
        width, height = example.size
    if name == "upscale_folder":
        assert sorted(sizes) == sorted((2 * wide, 2 * high) for wide, high in SIZES.values())
    elif name == "compare_all":
        ((wide, high),) = sizes
        assert high == 4 * height
        assert abs(wide - 4 * 4 * width - 3 * 16) <= 3  # gaps; others' sizes are rounded
    elif name == "remote_or_local":
        assert [max(size) for size in sizes] == [2048]
    else:
        assert len(sizes) == 1


def overlapping(page):
    return [
        (one[0], other[0])
        for one, other in combinations(page.evaluate(RECTANGLES), 2)
        if one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]
    ]


def finish(comfyui, page):
    """Run what the page shows, by its own button's function; return the entry in the history."""
    with page.expect_response(lambda answer: answer.url.endswith("/prompt")) as sent:
        page.evaluate("app.queuePrompt(0, 1)")
    return comfyui.end(sent.value.json()["prompt_id"])


def test_some_templates_run_without_a_service():
    assert {"local_upscale", "compare_all", "remote_or_local", "upscale_folder"} <= set(LOCAL)


@pytest.mark.parametrize("name", LOCAL)
def test_template_runs_as_a_prompt(comfyui, name):
    entry, _ = comfyui.run(PROMPTS[name])
    check(comfyui, name, entry)


@pytest.mark.parametrize("name", PROMPTS)
def test_page_makes_the_same_prompt_of_it(page, name):
    load(page, name)
    assert page.locator(".comfy-missing-nodes").count() == 0
    output = page.evaluate("app.graphToPrompt().then(({ output }) => output)")
    plain = {key: (item["class_type"], item["inputs"]) for key, item in output.items()}
    assert plain == {
        key: (item["class_type"], item["inputs"]) for key, item in PROMPTS[name].items()
    }


@pytest.mark.parametrize("name", LOCAL)
def test_template_runs_in_the_page_and_covers_nothing(comfyui, page, name):
    load(page, name)
    page.wait_for_timeout(2000)  # panels grow with what they say
    assert not overlapping(page)
    check(comfyui, name, finish(comfyui, page))
    page.wait_for_timeout(2000)  # results and previews make nodes taller
    assert not overlapping(page)


@pytest.mark.parametrize("name", ["compare_all", "remote_or_local", "upscale_folder"])
def test_template_explains_itself(name):
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
    (note,) = [node for node in workflow["nodes"] if node["type"] == NOTE]
    assert 100 < len(note["widgets_values"][0]) < 600
