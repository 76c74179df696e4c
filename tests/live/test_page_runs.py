"""What a node says of runs that fail, and of runs of another workflow."""

import pytest

from tests.fakes import faults
from tests.live import pages
from tests.live.host import wait_until
from tests.live.test_page_offers import keep

pytestmark = pages.pytestmark

NODE = "app.graph.nodes.find((node) => node.comfyClass === 'WaveSpeedUpscale')"
CHOICE = f"{NODE}.widgets.find((widget) => widget.name === 'when_unavailable').value"


@pytest.fixture(autouse=True)
def quick(comfyui):
    comfyui.service.clock.seconds = 0.0
    yield
    comfyui.service.clock.seconds = 0.0


@pytest.mark.parametrize("vue", [False, True])
def test_a_failed_run_says_why_and_offers_the_way_on(comfyui, page, vue):
    pages.look(page, vue, "dark")
    pages.load(page, "WaveSpeed Upscale")
    comfyui.service.faults["submit"].append(faults.refused("balance"))
    comfyui.service.tasks.clear()
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.set_widget(page, "WaveSpeedUpscale", "target_resolution", "2k")
    page.evaluate(f"{NODE}.widgets.find((one) => one.name === 'attempt').value = {7 + vue}")
    pages.finish(comfyui, page)
    alert = pages.panel(page).get_by_role("alert")
    pages.expect(alert).to_contain_text("Top up the balance", timeout=pages.LONG)
    pages.expect(alert).not_to_contain_text("QuotaError")
    keep(page, f"failed_{vue}")
    comfyui.service.faults["submit"].append(faults.refused("balance"))
    close_report(page)
    alert.get_by_role("button", name="Run locally once").click()
    pages.expect(pages.panel(page)).to_contain_text("made on this machine", timeout=2 * pages.LONG)
    pages.expect(alert).to_have_count(0)
    assert page.evaluate(CHOICE) == "error"
    keep(page, f"locally_{vue}")
    comfyui.service.faults["submit"].append(faults.refused("balance"))
    pages.finish(comfyui, page)
    pages.expect(alert).to_have_count(1)
    close_report(page)
    alert.get_by_role("button", name="Run locally once").click()  # which takes what is cached
    pages.expect(alert).to_have_count(0)
    pages.expect(pages.panel(page).get_by_role("button", name="Compare")).to_have_count(1)


def close_report(page):
    """Close the report of an error that ComfyUI 0.8 lays over the page."""
    page.wait_for_timeout(500)
    if page.locator(".comfy-error-report").count():
        page.keyboard.press("Escape")


def test_a_run_of_another_workflow_is_not_shown(comfyui, page):
    pages.load(page, "WaveSpeed Upscale")
    page.evaluate(f"{NODE}.widgets.find((one) => one.name === 'attempt').value = 21")
    comfyui.service.clock.seconds = 4.0
    tasks = len(comfyui.service.tasks)
    pages.start(page)
    wait_until(lambda: len(comfyui.service.tasks) > tasks)
    pages.load(page, "WaveSpeed Upscale")
    mine = f"{NODE}.widgets.find((one) => one.name === 'upscale_bridge').element"
    page.wait_for_function(f"{mine}.innerText.includes('→')")
    page.wait_for_timeout(8000)
    assert page.evaluate(f"{mine}.innerText.trim()").endswith("px")
    assert page.evaluate(f"{mine}.querySelectorAll('.picture:not([hidden])').length") == 0


def test_a_node_that_is_gone_changes_no_other(page):
    pages.look(page, True, "dark")
    pages.load(page, "1 Upscale an image")
    page.wait_for_timeout(500)
    pages.load(page, "3 Upscale a folder")
    page.wait_for_timeout(1500)
    sizes = "app.graph.nodes.map((node) => [...node.size])"
    before = page.evaluate(sizes)
    pages.load(page, "3 Upscale a folder")
    page.wait_for_timeout(1500)
    assert page.evaluate(sizes) == before
