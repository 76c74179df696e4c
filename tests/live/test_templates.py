"""The templates in ComfyUI's page and as prompts, without keys and without a network."""

import json
import re
import urllib.request
from copy import deepcopy
from itertools import combinations
from shutil import rmtree
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.live import pages
from tests.live.checkpoint import make
from tests.live.host import COMFYUI, PYTHON, Server, ask, need, pictures
from tests.live.test_page_offers import keep
from tests.live.test_remote_nodes import NEWER

pytestmark = pages.pytestmark

NOWHERE = "http://127.0.0.1:9"  # as a proxy: whatever leaves this machine fails
NOTE = "MarkdownNote"
PROMPTS = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((pages.WORKFLOWS / "api").glob("*.json"))
}
LOCAL = [  # others need a service, a video or faces (they have tests), or SeedVR2's weights
    name
    for name, prompt in PROMPTS.items()
    if any(item["class_type"] == "SaveImage" for item in prompt.values())
    and all(
        item["class_type"] not in ("ResumeUpscaleTask", "SeedVR2Preprocess")
        and item["inputs"].get("when_unavailable") != "error"
        and not item["inputs"].get("gfpgan_visibility")
        for item in prompt.values()
    )
]
EXPLAINED = (
    "8 Compare local and remote",
    "4 Remote with local fallback",
    "5 Upscale and add detail (SD 1.5)",
    "3 Upscale a folder",
)
NOTED = [name for name in PROMPTS if "SeedVR2" in name or "your own server" in name]
SIZES = {"first.png": (40, 24), "second.jpg": (30, 50), "third.webp": (64, 64)}
REFINED = {  # picture -> its size, its frames, size of the result: twice that, in multiples of 8
    "wide.webp": ((651, 27), 2, (1296, 48)),
    "tall.png": ((27, 651), 1, (48, 1296)),
}
STEPS = 2
RECTANGLES = """app.graph.nodes.map((node) => {
    const [x, y] = node.pos, title = LiteGraph.NODE_TITLE_HEIGHT;
    const closed = node.flags.collapsed;
    const [width, height] = closed ? [node._collapsed_width ?? 200, 0] : node.size;
    return [node.title, x, y - title, x + width, y + height];
})"""


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI with neither keys, nor other hosts, nor a network; pictures and a checkpoint."""
    base = tmp_path_factory.mktemp("comfyui")
    started = Server(base, SimpleNamespace(base_url=""))
    for name, (size, frames, _) in REFINED.items():
        first, *others = [gradient(size, turn) for turn in range(frames)]
        first.save(base / "input" / name, save_all=bool(others), append_images=others)
    checkpoints = base / "models" / "checkpoints"
    checkpoints.mkdir()
    for prompt in PROMPTS.values():
        for item in prompt.values():
            if "folder" in item["inputs"]:
                fill(base / "input" / item["inputs"]["folder"])
            if "ckpt_name" in item["inputs"]:
                make(checkpoints / item["inputs"]["ckpt_name"], PYTHON, COMFYUI)
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
        rmtree(checkpoints)


def gradient(size, turn=0):
    return Image.linear_gradient("L").convert("RGB").rotate(90 * turn).resize(size)


def fill(folder):
    folder.mkdir()
    for name, size in SIZES.items():
        gradient(size).save(folder / name)


def changes(name, picture):
    """Return what lets a CPU run a template soon: {node class: {input: value}}."""
    if name != "5 Upscale and add detail (SD 1.5)":
        return {}
    return {"LoadImage": {"image": picture}, "KSampler": {"steps": STEPS}}


def known(inputs):
    return {name: value for name, value in inputs.items() if name not in NEWER}


def check(comfyui, name, entry):
    """Look at what a run has saved."""
    prompt = PROMPTS[name]
    (save,) = [key for key, item in prompt.items() if item["class_type"] == "SaveImage"]
    images = pictures(comfyui, entry, save)
    sizes = [image.size for image in images]
    with Image.open(comfyui.base / "input" / "example.png") as example:
        width, height = example.size
    if name == "3 Upscale a folder":
        assert sorted(sizes) == sorted((2 * wide, 2 * high) for wide, high in SIZES.values())
    elif name == "8 Compare local and remote":
        ((wide, high),) = sizes
        assert high == 4 * height
        assert abs(wide - 3 * 4 * width - 2 * 16) <= 2  # gaps; others' sizes are rounded
    elif name == "4 Remote with local fallback":
        assert [max(size) for size in sizes] == [2048]
    elif name == "5 Upscale and add detail (SD 1.5)":
        check_refined(comfyui, entry, images)
    else:
        assert len(sizes) == 1


def check_refined(comfyui, entry, images):
    """Look at what diffusion in columns has made of one of our pictures."""
    prompt = entry["prompt"][2].values()
    (source,) = [item["inputs"] for item in prompt if item["class_type"] == "LoadImage"]
    _, frames, size = REFINED[source["image"]]
    assert [image.size for image in images] == [size] * frames
    assert all(len(image.convert("L").getcolors()) > 9 for image in images), "NaN is saved as black"
    log = comfyui.log.read_text("utf-8", errors="replace")
    widths = re.findall(r"Using context windows\D* 96 with overlap 32 for (\d+)", log)
    width = size[0] // 8  # ComfyUI tells it, once a step, when it is more than one column
    assert widths.count(str(width)) == (frames * STEPS if width > 96 else 0)


def overlapping(page):
    return [
        (one[0], other[0])
        for one, other in combinations(page.evaluate(RECTANGLES), 2)
        if one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]
    ]


def test_some_templates_run_without_a_service():
    assert {"1 Upscale an image", *EXPLAINED} <= set(LOCAL)


@pytest.mark.parametrize("name", LOCAL)
def test_template_runs_as_a_prompt(comfyui, name):
    prompt = deepcopy(PROMPTS[name])
    for item in prompt.values():
        item["inputs"] |= changes(name, "wide.webp").get(item["class_type"], {})
    entry, _ = comfyui.run(prompt)
    check(comfyui, name, entry)


@pytest.mark.parametrize("name", PROMPTS)
def test_page_makes_the_same_prompt_of_it(comfyui, page, name):
    need(comfyui, *(item["class_type"] for item in PROMPTS[name].values()))
    pages.load(page, name)
    assert page.locator(".comfy-missing-nodes").count() == 0
    output = page.evaluate("app.graphToPrompt().then(({ output }) => output)")
    plain = {key: (item["class_type"], known(item["inputs"])) for key, item in output.items()}
    assert plain == {
        key: (item["class_type"], known(item["inputs"])) for key, item in PROMPTS[name].items()
    }


@pytest.mark.parametrize("name", LOCAL)
def test_template_runs_in_the_page_and_covers_nothing(comfyui, page, name):
    pages.load(page, name)
    for node, inputs in changes(name, "tall.png").items():
        for widget, value in inputs.items():
            pages.set_widget(page, node, widget, value)
    page.wait_for_timeout(2000)  # panels grow with what they say
    assert not overlapping(page)
    check(comfyui, name, pages.finish(comfyui, page))
    page.wait_for_timeout(2000)  # results and previews make nodes taller
    assert not overlapping(page)


def test_template_is_an_app(comfyui, page):
    """App mode shows what a user changes, and our panel; on the way back the node has it again."""
    version = ask(comfyui, "/system_stats")["system"]["comfyui_version"]
    if tuple(map(int, version.split(".")[:2])) < (0, 33):
        pytest.skip("tried in ComfyUI 0.33 and later, whose app mode is built of chosen widgets")
    pages.look(page, True, "dark")
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "tall.png")
    pages.command(page, "Comfy.ToggleLinear")
    place = page.get_by_test_id("linear-widgets")
    for label in ("image", "model", "scale_factor", "Upscale Bridge"):
        pages.expect(place.get_by_text(label, exact=True)).to_be_visible()
    pages.expect(place.locator(pages.PANEL)).to_have_text("27 × 651 → 54 × 1302 px")  # noqa: RUF001
    pages.finish(comfyui, page)
    pages.expect(place.locator(pages.PANEL)).to_contain_text(re.compile(r" s$"))
    keep(page, "app")
    pages.command(page, "Comfy.ToggleLinear")
    pages.expect(page.locator(f".lg-node {pages.PANEL}")).to_have_count(1)


@pytest.mark.parametrize("name", [*EXPLAINED, *NOTED])
def test_template_explains_itself(name):
    workflow = json.loads((pages.WORKFLOWS / f"{name}.json").read_text("utf-8"))
    (note,) = [node for node in workflow["nodes"] if node["type"] == NOTE]
    assert 100 < len(note["widgets_values"][0]) < 600
