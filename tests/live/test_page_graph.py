"""Our nodes among ComfyUI's own: found, in subgraphs, as blueprints, and no larger than need be."""

import json

import pytest
from PIL import Image

from tests.live import pages
from tests.live.host import ROOT, ask, need
from tests.live.test_page_offers import keep

pytestmark = pages.pytestmark

BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
NODE = "(app.rootGraph ?? app.graph).nodes.find((node) => node.comfyClass === '{}')"
LOCAL = NODE.format("LocalESRGANUpscale")
INSIDE = """(() => {
    const { subgraph } = (app.rootGraph ?? app.graph).nodes.find((node) => node.subgraph);
    return subgraph.nodes.find((node) => /Upscale/.test(node.comfyClass));
})()"""
TOLD = ".widgets.find((widget) => widget.name === 'upscale_bridge').element.innerText"
WRAP = "void (app.rootGraph ?? app.graph).convertToSubgraph(new Set([{}]))"
AROUND = """async ([blueprint, values]) => {
    await app.loadGraphData(blueprint);
    const graph = app.rootGraph ?? app.graph, [host] = graph.nodes;
    const add = (type, x) => {
        const node = LiteGraph.createNode(type);
        graph.add(node);
        node.pos = [x, 0];
        return node;
    };
    const [first, last] = [add("LoadImage", -400), add("SaveImage", 500)];
    first.widgets.find(({ name }) => name === "image").value = "small.png";
    for (const widget of host.widgets) widget.value = values[widget.name] ?? widget.value;
    first.connect(0, host, 0);
    host.connect(0, last, 0);
}"""


@pytest.mark.parametrize("words", ["local upscale", "esrgan"])
def test_a_search_finds_the_local_node_among_the_first(comfyui, page, words):
    """Some pages put a title that begins with the words before it: "Local Upscale Extras".

    "upscale" alone lists ComfyUI's own nodes first: a title that begins with the word goes before
    one that ends with it, and nodes whose use the page's authors have counted before all others.
    """
    told = ask(comfyui, "/object_info/LocalESRGANUpscale")["LocalESRGANUpscale"]
    if " " in words and "search_aliases" not in told:
        pytest.skip("this page looks for the words as one phrase")
    pages.load(page, "WaveSpeed Upscale")
    page.wait_for_timeout(1000)
    page.mouse.dblclick(750, 850)
    page.wait_for_timeout(1500)
    page.keyboard.type(words, delay=40)
    page.wait_for_timeout(1500)
    keep(page, "search")
    first = " ".join(page.get_by_role("option").all_inner_texts()[:2])
    assert "Local ESRGAN Upscale" in first
    page.keyboard.press("Escape")


@pytest.mark.parametrize("vue", [False, True], ids=["classic", "Nodes 2.0"])
def test_a_run_is_told_once_and_leaves_the_node_small(comfyui, page, vue):
    pages.look(page, vue, "dark")
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.expect(pages.panel(page)).to_contain_text("→ 80 × 48 px")  # noqa: RUF001
    before = page.evaluate(f"{LOCAL}.size[1]")
    pages.set_widget(page, "LocalESRGANUpscale", "scale_factor", 3.5 + vue)
    pages.finish(comfyui, page)
    picture = pages.panel(page).locator(".picture")
    pages.expect(picture.locator(".after")).to_have_count(1, timeout=pages.LONG)
    page.wait_for_timeout(1500)
    told = page.evaluate(LOCAL + TOLD)
    assert told.count(" px") == 1, told
    assert told.count(" s") == 1, told
    assert page.evaluate(f"{LOCAL}.size[1]") <= before + 250
    assert page.evaluate("Object.keys(app.nodePreviewImages ?? {}).length") == 0
    assert page.evaluate(f"{LOCAL}.imgs?.length ?? 0") == 0
    pages.set_widget(page, "LocalESRGANUpscale", "scale_factor", 1.5)
    pages.expect(pages.panel(page)).to_contain_text("→ 60 × 36 px")  # noqa: RUF001
    keep(page, f"once_{vue}")


def test_the_line_follows_the_pointer_and_a_click_opens_all_of_it(comfyui, page):
    pages.look(page, True, "dark")
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.finish(comfyui, page)
    pair = pages.panel(page).get_by_role("button", name="Compare before and after")
    pair.wait_for(timeout=pages.LONG)
    line = "(button) => parseFloat(button.style.getPropertyValue('--at'))"
    box = pair.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    assert abs(pair.evaluate(line) - 25) < 2
    pair.focus()
    page.keyboard.press("ArrowRight")
    assert abs(pair.evaluate(line) - 30) < 2
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20)
    page.mouse.up()
    assert abs(pair.evaluate(line) - 75) < 2
    assert page.locator("dialog.upscale-bridge-compare").count() == 0
    pair.click()
    page.locator("dialog.upscale-bridge-compare").wait_for()


def test_models_that_are_not_here_are_marked_and_saved_by_name(page):
    pages.load(page, "1 Upscale an image")
    widget = f"{LOCAL}.widgets.find(({{ name }}) => name === 'model')"
    page.wait_for_function(f"/↓ 67 MB/.test({widget}.options.getOptionLabel('4x-UltraSharp'))")
    assert (
        page.evaluate(f"{widget}.options.getOptionLabel('UpscaleBridge-x4')") == "UpscaleBridge-x4"
    )
    pages.set_widget(page, "LocalESRGANUpscale", "model", "4x-UltraSharp")
    sent = page.evaluate("app.graphToPrompt().then(({ output }) => output)")
    assert "4x-UltraSharp" in [node["inputs"].get("model") for node in sent.values()]


@pytest.mark.parametrize("vue", [False, True], ids=["classic", "Nodes 2.0"])
def test_a_node_in_a_subgraph_is_advised(page, vue):
    pages.look(page, vue, "dark")
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.expect(pages.panel(page)).to_contain_text("→ 80 × 48 px")  # noqa: RUF001
    page.evaluate(WRAP.format(LOCAL))
    page.wait_for_function(f"{INSIDE}{TOLD}.includes('40 × 24 → 80 × 48 px')")  # noqa: RUF001
    pages.set_widget(page, "LoadImage", "image", "example.png")
    page.wait_for_function(f"!{INSIDE}{TOLD}.includes('40 × 24')")  # noqa: RUF001


def test_blueprints_are_offered(comfyui):
    entries = ask(comfyui, "/global_subgraphs").values()
    ours = {one["name"] for one in entries if "upscale-bridge" in one["info"]["node_pack"]}
    assert ours == {path.stem for path in BLUEPRINTS}


@pytest.mark.parametrize(
    ("name", "values", "size"),
    [
        ("Upscale image to 4K", {}, (640, 384)),
        ("Remote with local fallback", {"target_resolution": "2k"}, None),
    ],
)
def test_a_blueprint_runs(comfyui, page, name, values, size):
    """The factor to 4K is at most 16; the stand-in of the service makes smaller pictures."""
    tasks = len(comfyui.service.tasks)
    blueprint = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text("utf-8"))
    (inner,) = blueprint["definitions"]["subgraphs"]
    need(comfyui, *(node["type"] for node in inner["nodes"]))
    page.evaluate(AROUND, [blueprint, values])
    page.wait_for_timeout(1000)
    entry = pages.finish(comfyui, page)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    (saved,) = [one["images"] for one in entry["outputs"].values() if "images" in one]
    folder = comfyui.base / saved[0]["type"] / saved[0]["subfolder"]
    with Image.open(folder / saved[0]["filename"]) as image:
        assert image.size == (size or comfyui.service.tasks[-1].target)
    sent = [task.body["target_resolution"] for task in comfyui.service.tasks[tasks:]]
    assert sent == list(values.values()), "what stands on the subgraph's node is sent"
    keep(page, f"blueprint_{name[:6]}")
