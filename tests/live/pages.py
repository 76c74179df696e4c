"""What tests of ComfyUI's page share: a browser, a page, and what a user does there.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install playwright`; CHROMIUM
names the browser.
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.host import COMFYUI, ROOT

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
WORKFLOWS = ROOT / "example_workflows"
LOOKS = [(False, "dark"), (False, "light"), (True, "dark"), (True, "light")]
LONG = 60_000  # milliseconds for a run
PANEL = ".upscale-bridge-panel"
HAS_PANEL = """app.graph.nodes.some(({ widgets }) =>
    widgets?.some(({ name }) => name === "upscale_bridge"))"""
# How light the menu is, 0 to 255: which mark a theme sets differs from page to page.
SHADE = """(() => {
    const pen = new OffscreenCanvas(1, 1).getContext("2d");
    pen.fillStyle = getComputedStyle(document.body).getPropertyValue("--comfy-menu-bg");
    pen.fillRect(0, 0, 1, 1);
    return Math.max(...pen.getImageData(0, 0, 1, 1).data.slice(0, 3));
})()"""

pytestmark = [
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set"),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium"),
]


@contextmanager
def showing(comfyui, browser, script=""):
    """The page of this ComfyUI; `script` runs in it before any other."""
    opened = browser.new_page(viewport={"width": 1500, "height": 950})
    errors, foreign = [], []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: note_foreign(request.url, comfyui.url, foreign))
    opened.add_init_script(script)
    # Else the first visit opens the templates.
    opened.request.post(f"{comfyui.url}/settings", data={"Comfy.TutorialCompleted": True})
    opened.goto(comfyui.url, wait_until="domcontentloaded")
    ready = "window.app?.extensionManager?.command && app.graph?.nodes.length"
    opened.wait_for_function(ready, timeout=90_000)
    yield opened
    opened.close()
    assert not errors, errors
    assert not [url for url in foreign if "upscale" in url.lower()], foreign


def note_foreign(url, own, found):
    # ComfyUI itself asks its registry about a node that has failed.
    if not url.startswith((own, "data:", "blob:", "https://api.comfy.org/")):
        found.append(url)


def look(page, vue, theme):
    page.evaluate(
        """async ([vue, theme]) => {
            await app.extensionManager.setting.set("Comfy.VueNodes.Enabled", vue);
            await app.extensionManager.setting.set("Comfy.ColorPalette", theme);
        }""",
        [vue, theme],
    )
    page.wait_for_function(f"({SHADE}) < 128 === {json.dumps(theme == 'dark')}")


def load(page, name):
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
    page.evaluate("workflow => app.loadGraphData(workflow)", workflow)
    page.wait_for_function(HAS_PANEL)  # which pages draw only where it is large enough to be read


def set_widget(page, node, widget, value):
    """Change a widget as a user does."""
    page.evaluate(
        """([type, name, value]) => {
            const node = app.graph.nodes.find((node) => node.comfyClass === type);
            const widget = node.widgets.find((widget) => widget.name === name);
            widget.value = value;
            widget.callback?.(value);
        }""",
        [node, widget, value],
    )


def start(page):
    """Run what the page shows, by its own button's function."""
    page.evaluate("app.queuePrompt(0, 1)")


def finish(comfyui, page):
    """Run what the page shows and return its entry in the history."""
    with page.expect_response(lambda answer: answer.url.endswith("/prompt")) as sent:
        start(page)
    return comfyui.end(sent.value.json()["prompt_id"])


def panel(page):
    return page.locator(PANEL).first


def command(page, name):
    page.evaluate("name => app.extensionManager.command.execute(name)", name)


@contextmanager
def keys_dialog(page):
    """The dialog in which keys are set, while it is open."""
    command(page, "UpscaleBridge.Keys")
    dialog = page.locator("dialog.upscale-bridge-keys")
    dialog.get_by_label("API key for Photio").wait_for()
    yield dialog
    dialog.get_by_role("button", name="Close").click()


def tasks_tab(page):
    """Open the sidebar's tab of tasks and return it."""
    command(page, "Workspace.ToggleSidebarTab.upscale-bridge-tasks")
    return page.locator(".upscale-bridge-tasks")


def comparison(page):
    """Open the comparison that the panel offers after a run, and return it."""
    pair = panel(page).get_by_role("button", name="Compare before and after")
    pair.wait_for(state="attached", timeout=LONG)
    pair.evaluate("button => button.click()")
    view = page.locator("dialog.upscale-bridge-compare")
    view.wait_for()
    return view
