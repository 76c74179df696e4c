"""WaveSpeed Upscale Video in ComfyUI's page: before a run, after it, and in the list of tasks.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install av playwright`;
CHROMIUM names the browser.
"""

import pytest

pytest.importorskip("av")
from tests.fakes.videos import enlarged
from tests.live import pages
from tests.nodes import films

pytestmark = pages.pytestmark


@pytest.fixture(scope="module", autouse=True)
def source(comfyui):
    return films.make(comfyui.base / "input" / "video.mp4", frames=30, size=(320, 240))


def test_a_video_is_run_compared_listed_and_opened(comfyui, page, source):
    pages.load(page, "WaveSpeed Upscale Video")
    assert page.evaluate(
        """app.graph.nodes.find((node) => node.comfyClass === "WaveSpeedUpscaleVideo")
            .widgets.filter((one) => one.serialize !== false).map((one) => one.name)"""
    ) == ["model", "options", "attempt"]
    pages.start(page)
    pages.expect(pages.panel(page)).to_contain_text("320 × 240 px", timeout=pages.LONG)  # noqa: RUF001
    pair = pages.panel(page).get_by_role("button", name="Compare before and after")
    pair.wait_for(state="attached", timeout=pages.LONG)
    tab = pages.tasks_tab(page)
    card = tab.get_by_role("article", name="WaveSpeed Upscale Video, Finished")
    pages.expect(card).to_contain_text("from 320 × 240 px")  # noqa: RUF001
    pages.expect(card.locator(".pi-video")).to_have_count(1)
    pages.expect(card.locator("img")).to_have_count(0)
    address = card.get_by_role("link", name="Open").get_attribute("href")
    answer = page.request.get(f"{comfyui.url}{address}" if address.startswith("/") else address)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.body() == enlarged(source.read_bytes())
