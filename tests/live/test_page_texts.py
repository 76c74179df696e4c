"""The page in other languages."""

import json

import pytest

from tests.live import pages

pytestmark = pages.pytestmark


def texts(language):
    """Return the texts that the page looks up itself."""
    file = pages.ROOT / "locales" / language / "main.json"
    return json.loads(file.read_text("utf-8"))["upscaleBridge"]


def speak(page, language):
    """Choose a language and wait until ComfyUI has drawn its nodes anew, as it then does."""
    if page.evaluate("app.extensionManager.setting.get('Comfy.Locale')") == language:
        return
    choose = "name => app.extensionManager.setting.set('Comfy.Locale', name)"
    with page.expect_response(
        lambda answer: answer.url.endswith("/object_info"), timeout=pages.LONG
    ):
        page.evaluate(choose, language)
    page.wait_for_timeout(2000)


def expect_absent(page, known):
    """See that a node says in a language that its model is not here."""
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LocalESRGANUpscale", "model", "4x-UltraSharp")
    before, _, _ = known["Not on this machine yet: {terms}."].partition("{")
    pages.expect(pages.panel(page)).to_contain_text(before.strip())


@pytest.fixture
def english_again(page):
    """The setting is kept by ComfyUI for all pages."""
    yield
    speak(page, "en")


@pytest.mark.usefixtures("english_again")
@pytest.mark.parametrize("language", ["zh", "zh-TW", "ja", "ko", "fr", "es", "pt-BR", "ru"])
def test_panel_and_dialog_speak_the_language_that_comfyui_is_set_to(page, language):
    known = texts(language)
    speak(page, language)
    expect_absent(page, known)
    pages.command(page, "UpscaleBridge.Keys")
    label = known["API key for {title}"].format(title="Photio")
    page.get_by_label(label, exact=True).wait_for()
    dialog = page.locator("dialog.upscale-bridge-keys")
    pages.expect(dialog).to_contain_text(known["Not set"])
    dialog.get_by_role("button", name=known["Close"]).click()


@pytest.mark.usefixtures("english_again")
def test_notes_are_translated_with_what_stands_in_them(page):
    known = texts("fr")
    speak(page, "fr")
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LocalESRGANUpscale", "model", "4x-UltraSharp")
    wanted = known["licence {licence}, non-commercial use only"]
    pages.expect(pages.panel(page)).to_contain_text(wanted.format(licence="CC-BY-NC-SA-4.0"))
    pages.expect(pages.panel(page)).to_contain_text("67 Mo")


SHOWN = """(() => {
    const { constructor, title, widgets } = app.graph.nodes.find(
        (node) => node.comfyClass === "WaveSpeedUpscale"
    );
    return [title, constructor.nodeData.description, widgets[0].label || widgets[0].name];
})()"""


def withhold(route):
    """Answer with the languages as they are when a vendor is new: none has its node."""
    answer = route.fetch()
    languages = answer.json()
    for language in languages.values():
        language.get("nodeDefs", {}).pop("WaveSpeedUpscale", None)
    route.fulfill(response=answer, json=languages)


@pytest.mark.usefixtures("english_again")
def test_a_node_that_a_language_lacks_is_english(page):
    speak(page, "fr")
    page.route("**/i18n", withhold)
    page.reload(wait_until="domcontentloaded")
    page.wait_for_function("window.app?.extensionManager?.command && app.graph?.nodes.length")
    pages.load(page, "WaveSpeed Upscale")
    title, _, widget = page.evaluate(SHOWN)
    assert (title, widget) == ("WaveSpeed Upscale", "model")
    expect_absent(page, texts("fr"))


def test_english_needs_no_file_for_nodes(page):
    speak(page, "en")
    pages.load(page, "WaveSpeed Upscale")
    title, description, widget = page.evaluate(SHOWN)
    assert (title, widget) == ("WaveSpeed Upscale", "model")
    assert description.startswith("Enlarge images to 2k, 4k or 8k")
    pages.expect(pages.panel(page)).to_contain_text("→")
