"""Our part of ComfyUI's page under its strictest policy, by keyboard, and as axe-core sees it.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install playwright`; CHROMIUM
names the browser, AXE the file axe.min.js of axe-core.
"""

import json
import os
import urllib.request
from pathlib import Path

import pytest

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.live import pages
from tests.live.host import EXAMPLES, KEYS, running, wait_until

pytestmark = pages.pytestmark

AXE = os.environ.get("AXE", "")
STRICT = "from comfy.cli_args import args\n\nargs.disable_api_nodes = True\n"
POLICY = "connect-src 'self'"
HEAR = """window.refused = [];
document.addEventListener("securitypolicyviolation", ({ blockedURI, violatedDirective }) =>
    refused.push(`${violatedDirective} ${blockedURI}`));"""
FOREIGN = "new Image().src = 'https://elsewhere.invalid/pixel.png'"
CHECK = """(where) => axe.run(where, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
        .map(({ id, nodes }) => [id, nodes.map((node) => node.html + node.failureSummary)]))"""
MARK = """(parts) => parts.filter((part) => part.checkVisibility() && !part.disabled)
    .map((part) => (part.dataset.waiting = "for Tab")).length"""
REACH = """() => {
    const { activeElement } = document;
    if (!activeElement.dataset.waiting) return 0;
    const rings = [null, "::after"].map((part) => getComputedStyle(activeElement, part));
    const seen = rings.some(({ outline }) => /solid [2-9]/.test(outline));
    if (seen) delete activeElement.dataset.waiting;
    return 1;
}"""


def be_strict(base):
    """Let ComfyUI start as with --disable-api-nodes, which forbids its page all other hosts."""
    pack = base / "custom_nodes" / "strict"
    pack.mkdir()
    (pack / "prestartup_script.py").write_text(STRICT)
    (pack / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """Such a ComfyUI, with a task that has failed, one in doubt and one that was stopped."""
    base = tmp_path_factory.mktemp("comfyui")
    with FakeService() as service, running(base, service, prepare=be_strict) as started:
        service.faults["poll"].append(faults.failed())
        started.run(prompt(attempt=1))
        service.faults["submit"].append(faults.reset_after_accept())
        started.run(prompt(attempt=2))
        service.clock.seconds, polls = 600.0, service.count("poll")
        stopped = started.begin(prompt(attempt=3))
        wait_until(lambda: service.count("poll") > polls)
        urllib.request.urlopen(f"{started.url}/interrupt", b"{}", timeout=30).close()
        started.end(stopped)
        service.clock.seconds = 0.0
        yield started


def prompt(attempt):
    made = json.loads((EXAMPLES / "WaveSpeed Upscale.json").read_text("utf-8"))
    for item in made.values():
        if "attempt" in item["inputs"]:
            item["inputs"]["attempt"] = attempt
    return made


@pytest.fixture
def page(comfyui, browser):
    with pages.showing(comfyui, browser, HEAR) as opened:
        yield opened


def refused(page):
    """Return what the policy has forbidden, but for what ComfyUI itself wants."""
    return [text for text in page.evaluate("refused") if not is_comfyuis(text)]


def is_comfyuis(text):
    """Tell what ComfyUI wants itself: its news, and the sizes of models that its workflow lacks."""
    return "https://api.comfy.org/" in text or "https://huggingface.co/Comfy-Org/" in text


def run(page, comfyui, attempt):
    """Run a small image through a service; the tab of tasks is open then."""
    pages.load(page, "WaveSpeed Upscale")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.set_widget(page, "WaveSpeedUpscale", "attempt", attempt)
    tab = pages.tasks_tab(page)
    pages.finish(comfyui, page)
    tab.get_by_role("article").first.wait_for()
    return tab


def test_all_of_it_works_under_the_strictest_policy(page, comfyui):
    said = []
    page.on("console", lambda message: said.append(message.text))
    assert POLICY in page.request.get(comfyui.url).headers["content-security-policy"]
    tab = run(page, comfyui, 4)
    picture = tab.get_by_role("img", name="Result").first
    pages.expect(picture).to_have_js_property("naturalWidth", 128)
    view = pages.comparison(page)
    assert view.locator("img").evaluate_all("all => all.every((one) => one.naturalWidth > 0)")
    page.keyboard.press("Escape")
    with pages.keys_dialog(page) as dialog:
        dialog.get_by_label("API key for Photio").fill(KEYS["file"])
        dialog.get_by_role("button", name="Save the key for Photio").click()
        pages.expect(dialog).to_contain_text("Saved.")
        dialog.get_by_role("button", name="Test the key for Photio").click()
        pages.expect(dialog).to_contain_text("is not asked")
        dialog.get_by_role("button", name="Remove the key for Photio").click()
        pages.expect(dialog).to_contain_text("Removed.")
    assert not refused(page)
    broken = [text for text in said if "Content Security Policy" in text]
    assert not [text for text in broken if not is_comfyuis(text)]
    page.evaluate(FOREIGN)  # it would have been heard
    page.wait_for_function("refused.some((text) => text.includes('elsewhere.invalid'))")


@pytest.mark.skipif(not Path(AXE).is_file(), reason="AXE does not name axe.min.js")
@pytest.mark.parametrize(("vue", "theme"), pages.LOOKS, ids=str)
def test_axe_finds_nothing_serious(page, comfyui, vue, theme):
    pages.look(page, vue, theme)
    page.evaluate(Path(AXE).read_text("utf-8"))
    run(page, comfyui, 5 + pages.LOOKS.index((vue, theme)))
    pair = pages.panel(page).get_by_role("button", name="Compare before and after")
    pair.wait_for(state="attached", timeout=pages.LONG)
    assert page.evaluate(CHECK, ".upscale-bridge-panel") == []
    assert page.evaluate(CHECK, ".upscale-bridge-tasks") == []
    pages.comparison(page)
    assert page.evaluate(CHECK, ".upscale-bridge-compare") == []
    page.keyboard.press("Escape")
    with pages.keys_dialog(page):
        assert page.evaluate(CHECK, ".upscale-bridge-keys") == []


def tab_through(page, place):
    """Press Tab until every part of a place was reached; fail unless each shows its focus."""
    parts = place.locator("button, a, input, [tabindex]")
    left = parts.evaluate_all(MARK)
    assert left
    for _ in range(100):
        page.keyboard.press("Tab")
        left -= page.evaluate(REACH)
        if not left:
            break
    assert [part.text_content() for part in place.locator("[data-waiting]").all()] == []
    assert not left


def test_tab_leads_through_the_tasks(page):
    tab = pages.tasks_tab(page)
    tab.get_by_role("article").nth(2).wait_for()
    for name in ("Resume", "Fetch by id", "Copy id", "Forget"):
        assert tab.get_by_role("button", name=name).count()
    tab_through(page, tab)


def test_tab_leads_through_the_keys_and_escape_leads_back(page):
    button = pages.tasks_tab(page).get_by_role("button", name="Refresh")
    button.focus()
    pages.command(page, "UpscaleBridge.Keys")
    dialog = page.locator("dialog.upscale-bridge-keys")
    field = dialog.get_by_label("API key for Novita")
    pages.expect(field).to_be_focused()
    page.keyboard.type(KEYS["file"])
    page.keyboard.press("Enter")
    pages.expect(dialog).to_contain_text("Saved.")
    tab_through(page, dialog)
    field.focus()
    page.keyboard.press("Escape")
    pages.expect(dialog).to_have_count(0)
    pages.expect(button).to_be_focused()


@pytest.mark.parametrize("vue", [False, True], ids=["classic", "Nodes 2.0"])
def test_tab_leads_through_the_comparison_and_escape_leads_back(page, comfyui, vue):
    pages.look(page, vue, "dark")
    run(page, comfyui, 10 + vue)
    pair = pages.panel(page).get_by_role("button", name="Compare before and after")
    pair.focus()
    pages.expect(pair).to_be_focused()
    page.keyboard.press("Enter")
    view = page.locator("dialog.upscale-bridge-compare")
    pages.expect(view.get_by_role("slider")).to_be_focused()
    tab_through(page, view)
    page.keyboard.press("Escape")
    pages.expect(view).to_have_count(0)
    pages.expect(pair).to_be_focused()


def test_the_list_of_tasks_leaves_alone_what_the_user_is_at(page, comfyui):
    tab = pages.tasks_tab(page)
    field = tab.get_by_label("The service's task id")
    field.fill("an id that is being typed")
    before = tab.get_by_role("article").count()
    comfyui.run(prompt(attempt=20))
    pages.expect(tab.get_by_role("article")).to_have_count(before + 1)
    pages.expect(field).to_have_value("an id that is being typed")
    pages.expect(field).to_be_focused()


def test_a_button_keeps_the_focus_while_its_key_is_tested(page):
    with pages.keys_dialog(page) as dialog:
        dialog.get_by_label("API key for Photio").fill(KEYS["file"])
        dialog.get_by_role("button", name="Save the key for Photio").click()
        test = dialog.get_by_role("button", name="Test the key for Photio")
        test.focus()
        page.keyboard.press("Enter")
        pages.expect(dialog).to_contain_text("is not asked")
        pages.expect(test).to_be_focused()
