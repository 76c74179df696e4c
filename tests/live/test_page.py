"""The pack in ComfyUI's page, in a real browser."""

import json
import re
from contextlib import contextmanager

import pytest

from tests.live import pages
from tests.live.host import KEYS, wait_until

pytestmark = pages.pytestmark

GOING_ON = re.compile(r"\b\d+ s$")  # what a node says at work ends in the seconds so far
VALUES = "app.graph.serialize().nodes.map(({ widgets_values }) => widgets_values)"


@pytest.mark.parametrize(("vue", "theme"), pages.LOOKS, ids=lambda value: str(value))
def test_a_node_tells_what_it_will_do(page, vue, theme):
    pages.look(page, vue, theme)
    pages.load(page, "1 Upscale an image")
    pages.expect(pages.panel(page)).to_contain_text(re.compile(r"\d+ . \d+ → \d+ . \d+ px"))
    pages.set_widget(page, "LocalESRGANUpscale", "model", "4x-UltraSharp")
    pages.expect(pages.panel(page)).to_contain_text("non-commercial use only")
    pages.expect(pages.panel(page).get_by_role("button", name="Download")).to_have_count(1)
    assert page.evaluate("getComputedStyle(document.querySelector('.upscale-bridge-panel')).color")


def test_another_image_is_seen_at_once(page):
    pages.load(page, "1 Upscale an image")
    pages.expect(pages.panel(page)).not_to_contain_text("→ 80 × 48 px")  # noqa: RUF001
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.expect(pages.panel(page)).to_contain_text("→ 80 × 48 px")  # noqa: RUF001


def test_a_missing_model_can_be_asked_for_on_the_node(page):
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LocalESRGANUpscale", "model", "mine-alone")
    pages.expect(pages.panel(page)).to_contain_text("There is no model 'mine-alone' here.")


def test_the_panel_is_neither_saved_nor_sent(page):
    pages.load(page, "WaveSpeed Upscale")
    saved = json.loads((pages.WORKFLOWS / "WaveSpeed Upscale.json").read_text("utf-8"))
    wanted = {node["id"]: node.get("widgets_values") for node in saved["nodes"]}
    prompt, workflow = page.evaluate(
        "app.graphToPrompt().then(({ output, workflow }) => [output, workflow])"
    )
    assert {node["id"]: node.get("widgets_values") for node in workflow["nodes"]} == wanted
    assert not [node for node in prompt.values() if "upscale_bridge" in node["inputs"]]


@pytest.mark.parametrize("value", [1.25, 1.333])
def test_a_factor_is_taken_as_it_is_typed(page, value):
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LocalESRGANUpscale", "scale_factor", value)
    prompt = page.evaluate("app.graphToPrompt().then(({ output }) => output)")
    (found,) = [node["inputs"] for node in prompt.values() if "scale_factor" in node["inputs"]]
    assert found["scale_factor"] == value


def test_a_run_adds_nothing_to_what_is_saved(page, comfyui):
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    before = page.evaluate(VALUES)
    pages.finish(comfyui, page)
    done = pages.panel(page).get_by_role("button", name="Compare before and after")
    done.wait_for(state="attached", timeout=pages.LONG)
    assert page.evaluate(VALUES) == before


def test_the_result_is_compared_with_its_original(page):
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.set_widget(page, "LocalESRGANUpscale", "scale_factor", 1.5)
    pages.start(page)
    view = pages.comparison(page)
    line = view.get_by_role("slider", name="Before and after")
    pages.expect(line).to_have_attribute("aria-valuenow", "50")
    for key, value in (("ArrowRight", "52"), ("Home", "0"), ("End", "100")):
        page.keyboard.press(key)
        pages.expect(line).to_have_attribute("aria-valuenow", value)
    page.keyboard.press("Home")
    stage = page.viewport_size
    page.mouse.move(2, stage["height"] / 2)
    page.mouse.down()
    page.mouse.move(stage["width"] / 4, stage["height"] / 2, steps=4)
    page.mouse.up()
    pages.expect(line).to_have_attribute("aria-valuenow", "25")
    before = view.locator("output").inner_text()
    page.mouse.wheel(0, -400)
    pages.expect(view.locator("output")).not_to_have_text(before)
    page.keyboard.press("Escape")
    pages.expect(view).to_have_count(0)


def test_keys_are_set_tested_and_removed(page, comfyui):
    with pages.keys_dialog(page) as dialog:
        field = dialog.get_by_label("API key for Photio")
        field.fill(KEYS["file"])
        dialog.get_by_role("button", name="Save the key for Photio").click()
        part = dialog.locator("section", has_text="Photio")
        pages.expect(part).to_contain_text(f"ends in ..{KEYS['file'][-4:]}")
        dialog.get_by_role("button", name="Test the key for Photio").click()
        pages.expect(part).to_contain_text("is not asked")
        dialog.get_by_role("button", name="Remove the key for Photio").click()
        pages.expect(part).to_contain_text("Not set")
    assert KEYS["file"] not in page.content()


def test_tasks_are_listed_and_forgotten(page):
    pages.load(page, "WaveSpeed Upscale")
    tab = pages.tasks_tab(page)
    pages.expect(tab).to_contain_text("No remote task yet")
    pages.start(page)
    card = tab.get_by_role("article", name="WaveSpeed Upscale, Finished")
    pages.expect(card).to_have_count(1, timeout=pages.LONG)
    pages.expect(card.get_by_role("img", name="Result")).to_have_js_property("complete", True)
    assert card.get_by_role("img", name="Result").evaluate("image => image.naturalWidth") > 0
    result = page.request.get(card.get_by_role("link", name="Open").evaluate("link => link.href"))
    assert result.headers["content-type"] == "image/png"
    card.get_by_role("button", name="Forget").click()
    page.get_by_role("button", name="Confirm").click()
    pages.expect(card).to_have_count(0)


def resume(page, ticket):
    """Fetch a result with the node that takes a task's id."""
    pages.load(page, "Resume Upscale Task")
    pages.set_widget(page, "ResumeUpscaleTask", "task_id", ticket)
    pages.start(page)


def test_a_finished_task_is_fetched_by_its_id(page, comfyui):
    pages.load(page, "WaveSpeed Upscale")
    pages.set_widget(page, "WaveSpeedUpscale", "attempt", 31)
    pages.finish(comfyui, page)
    paid = len(comfyui.service.tasks)
    task = comfyui.service.tasks[-1]
    resume(page, task.id)
    size = " × ".join(map(str, task.target))  # noqa: RUF001
    pages.expect(pages.panel(page)).to_contain_text(
        re.compile(f"{size} px.* reused"), timeout=pages.LONG
    )
    assert len(comfyui.service.tasks) == paid


@contextmanager
def working(page, comfyui, attempt):
    """A run whose task is accepted and goes on for long; it is stopped at the end."""
    service = comfyui.service
    polls = service.count("poll")
    pages.load(page, "WaveSpeed Upscale")
    pages.set_widget(page, "WaveSpeedUpscale", "attempt", attempt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.clock, "seconds", 600.0)
        pages.start(page)
        wait_until(lambda: service.count("poll") > polls)  # its id is stored
        yield
        pages.command(page, "Comfy.Interrupt")
        pages.expect(page.get_by_role("button", name="Cancel current run")).to_be_disabled()


def test_a_stopped_task_is_fetched_by_its_id(page, comfyui):
    paid = len(comfyui.service.tasks)
    with working(page, comfyui, 32):
        ticket = comfyui.service.tasks[-1].id
    resume(page, ticket)
    pages.expect(pages.panel(page)).to_contain_text(
        re.compile("resumed|joined"), timeout=pages.LONG
    )
    assert len(comfyui.service.tasks) == paid + 1


def test_a_stopped_run_does_not_seem_to_go_on(page, comfyui):
    with working(page, comfyui, 33):
        pages.expect(pages.panel(page)).to_contain_text(GOING_ON)
    pages.expect(pages.panel(page)).not_to_contain_text(GOING_ON)


def test_every_example_has_its_panels(page):
    for file in sorted(pages.WORKFLOWS.glob("*.json")):
        pages.load(page, file.stem)
        count = page.evaluate(
            "app.graph.nodes.filter((node) => /Upscale/.test(node.comfyClass)).length"
        )
        pages.expect(page.locator(".upscale-bridge-panel")).to_have_count(count)


def test_a_page_that_is_opened_later_compares_cached_results_too(page, comfyui, browser):
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.set_widget(page, "LocalESRGANUpscale", "scale_factor", 1.75)
    pages.start(page)
    pages.comparison(page)
    with pages.showing(comfyui, browser) as later:
        pages.load(later, "1 Upscale an image")
        pages.set_widget(later, "LoadImage", "image", "small.png")
        pages.set_widget(later, "LocalESRGANUpscale", "scale_factor", 1.75)
        pages.start(later)
        view = pages.comparison(later)
        pages.expect(view.get_by_role("slider", name="Before and after")).to_be_visible()


def test_a_node_that_takes_no_image_is_not_asked_before_a_run(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    pages.load(page, "1 Upscale an image")
    pages.expect(pages.panel(page)).to_contain_text("→")
    assert "advice" in asked
    asked.clear()
    pages.load(page, "Resume Upscale Task")
    pages.set_widget(page, "ResumeUpscaleTask", "task_id", "0123456789ab")
    page.wait_for_timeout(1500)  # advice waits for a pause in the typing
    assert "advice" not in asked
    pages.expect(page.locator(".upscale-bridge-panel")).to_have_count(1)
