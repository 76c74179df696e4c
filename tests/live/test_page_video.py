"""WaveSpeed Upscale Video in ComfyUI's page: before a run, after it, and in the list of tasks.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install av playwright`;
CHROMIUM names the browser.
"""

import pytest

pytest.importorskip("av")
pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from tests.fakes.videos import enlarged
from tests.live.pages import (
    LONG,
    browser,
    comfyui,
    load,
    page,
    panel,
    pytestmark,
    start,
    tasks_tab,
)
from tests.nodes import films

__all__ = ["browser", "comfyui", "page", "pytestmark"]  # fixtures and marks of the neighbour


@pytest.fixture(scope="module", autouse=True)
def source(comfyui):
    return films.make(comfyui.base / "input" / "video.mp4", frames=30, size=(320, 240))


def test_a_video_is_run_compared_listed_and_opened(comfyui, page, source):
    load(page, "WaveSpeed Upscale Video")
    assert page.evaluate(
        """app.graph.nodes.find((node) => node.comfyClass === "WaveSpeedUpscaleVideo")
            .widgets.filter((one) => one.serialize !== false).map((one) => one.name)"""
    ) == ["model", "options", "attempt"]
    start(page)
    expect(panel(page)).to_contain_text("320 × 240 px", timeout=LONG)  # noqa: RUF001
    pair = panel(page).get_by_role("button", name="Compare before and after")
    pair.wait_for(state="attached", timeout=LONG)
    tab = tasks_tab(page)
    card = tab.get_by_role("article", name="WaveSpeed Upscale Video, Finished")
    expect(card).to_contain_text("from 320 × 240 px")  # noqa: RUF001
    expect(card.locator(".pi-video")).to_have_count(1)
    expect(card.locator("img")).to_have_count(0)
    address = card.get_by_role("link", name="Open").get_attribute("href")
    answer = page.request.get(f"{comfyui.url}{address}" if address.startswith("/") else address)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.body() == enlarged(source.read_bytes())
