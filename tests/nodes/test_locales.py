"""The page's texts: English is drawn, the others say the same of the same things."""

import functools
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from upscale_bridge.vendors import ALL

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ROOT / "locales"
FILES = ("commands", "main", "nodeDefs", "settings")  # all that ComfyUI reads
LANGUAGES = sorted(path.name for path in LOCALES.iterdir())
OTHERS = [language for language in LANGUAGES if language != "en"]

# What no language may change: numbers, and names with a capital, a digit or a hyphen inside.
KEPT = re.compile(
    r"\d+(?:\.\d+)?"
    r"|Novita|Photio|Lanczos|spandrel|Upscale Bridge|`.+?`|https?://\S+"
    r"|{\w+}"
    r"|\b(?!MB\b)(?=\w*[a-z][A-Z]|\w*[A-Z]{2}|\w*_|[a-z]+\d)\w+"
    r"|\b(?:\w+-)*image-\w+"
)


def read(language):
    """Return all texts of a language by file and keys; of English all that are translated."""
    if language == "en":
        return english()
    return read_files(LOCALES / language)


def read_files(folder):
    return {
        (path.stem, *keys): text
        for path in sorted(folder.iterdir())
        for keys, text in flat(json.loads(path.read_text("utf-8")))
    }


@functools.cache
def english():
    """Return what the declarations and scripts say."""
    drawn = subprocess.run(
        [sys.executable, ROOT / "dev" / "locales.py"], capture_output=True, check=True, timeout=120
    )
    files = json.loads(drawn.stdout)
    return {(stem, *keys): text for stem in FILES for keys, text in flat(files[stem])}


def flat(content):
    for key, value in content.items():
        if isinstance(value, dict):
            yield from (((key, *rest), text) for rest, text in flat(value))
        else:
            yield (key,), value


def drawing():
    """Return dev/locales.py as a module."""
    spec = importlib.util.spec_from_file_location("locales", ROOT / "dev" / "locales.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def said_by_vendors():
    """Return the sentences that stand in a vendor's own place."""
    told = {operation.retirement for operation in ALL}
    return told | set(drawing().said_by_the_core(ROOT / "upscale_bridge" / "vendors"))


def part_of_a_vendor(keys):
    """Return the operation, or the sentence, of a vendor that a text is part of; None for none."""
    if keys[0] == "nodeDefs" and keys[1] in {operation.__name__ for operation in ALL}:
        return keys[1]
    return keys[-1] if is_own(keys) and keys[-1] in said_by_vendors() else None


@functools.cache
def wanted():
    """Return the keys that every language must have, in order.

    Of a vendor those that any language has: a new one may speak English alone.
    """
    begun = {part_of_a_vendor(keys) for language in OTHERS for keys in read(language)} | {None}
    return [keys for keys in english() if part_of_a_vendor(keys) in begun]


def is_own(keys):
    """Tell a text that the page looks up itself from one that ComfyUI looks up."""
    return keys[:2] == ("main", "upscaleBridge")


def words(text):
    """Return a text without what stands in it later."""
    return re.sub(r"{\w+}", "", text)


def is_name(keys):
    """Tell a label, which may be the same word in two languages, from a sentence."""
    return keys[-1] in ("name", "display_name", "label")


def test_english_files_are_drawn_and_hold_what_comfyui_cannot_do_without():
    files = drawing().PAGE
    assert sorted(files) == sorted(path.stem for path in (LOCALES / "en").iterdir())
    for stem, content in files.items():
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        kept = (LOCALES / "en" / f"{stem}.json").read_text("utf-8")
        assert kept == text, "run: python dev/locales.py --write"
    lacking = english().keys() - read_files(LOCALES / "en").keys()
    assert {keys[0] for keys in lacking if not is_own(keys)} == {"nodeDefs"}


def test_every_input_of_every_node_is_there(pack, comfy):
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        inputs = {key for group in node.INPUT_TYPES().values() for key in group}
        told = {keys[3] for keys in english() if keys[:3] == ("nodeDefs", name, "inputs")}
        assert told == inputs


def test_the_scripts_say_what_is_translated():
    scripts = "\n".join(path.read_text("utf-8") for path in (ROOT / "web").glob("*.js"))
    for keys, text in english().items():
        if keys[0] == "nodeDefs" or is_own(keys):  # the latter are drawn from the scripts
            continue
        if not text.startswith("Toggle "):  # ComfyUI's own pattern
            assert f'"{text}"' in scripts
    assert '"UpscaleBridge.Keys"' in scripts
    assert '"upscale-bridge-tasks"' in scripts


def test_languages_are_those_that_comfyui_has():
    known = {"ar", "de", "en", "es", "fa", "fr", "he", "it", "ja", "ko", "pt-BR", "ru", "tr", "zh"}
    assert {"en", "zh", "ja", "ko", "fr"} <= set(LANGUAGES) <= known | {"zh-TW"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_plain(language):
    """The page would take @ { } | for its own signs, and keys with a dot for two keys."""
    for keys, text in read(language).items():
        assert text == text.strip() != ""
        plain = words(text) if is_own(keys) else text
        assert not re.search(r"[@{}|<>&\n]", plain), text
        assert is_own(keys) or not any("." in key for key in keys)


def test_a_vendor_that_no_language_has_may_speak_english_alone(monkeypatch):
    """Everything else, and a vendor whose translation was begun, is there in every language."""
    names = {part_of_a_vendor(keys) for keys in wanted()} - {None}
    assert names >= {"NovitaUpscale", "PhotioUpscale", "WaveSpeedUpscale"}
    node = ("nodeDefs", "AcmeUpscale", "display_name")
    added = type("AcmeUpscale", (), {"__name__": "AcmeUpscale", "retirement": ""})
    monkeypatch.setattr(sys.modules[__name__], "ALL", (*ALL, added))
    assert part_of_a_vendor(node) == "AcmeUpscale"
    assert part_of_a_vendor(node) not in names
    assert part_of_a_vendor(("nodeDefs", "LocalESRGANUpscale", "display_name")) is None
    assert part_of_a_vendor(("main", "upscaleBridge", "Save")) is None
    price = next(text for text in said_by_vendors() if "list price" in text)
    assert part_of_a_vendor(("main", "upscaleBridge", price)) == price


@pytest.mark.parametrize("language", OTHERS)
class TestTranslation:
    def test_has_the_files_that_comfyui_reads_and_no_others(self, language):
        found = sorted(path.name for path in (LOCALES / language).iterdir())
        assert found == [f"{stem}.json" for stem in FILES]

    def test_has_the_keys_of_all_languages_in_the_order_of_english(self, language):
        assert list(read(language)) == wanted()

    def test_sentences_are_translated(self, language):
        for keys, text in read(language).items():
            if not is_name(keys) and len(english()[keys]) > 20:
                assert text != english()[keys]

    def test_numbers_and_names_stay(self, language):
        for keys, text in read(language).items():
            if keys[0] == "nodeDefs" and is_name(keys) and keys[-1] != "display_name":
                continue  # an input's name is translated as a whole
            for kept in KEPT.findall(english()[keys]):
                assert kept in text, (keys, text)

    def test_an_input_tells_the_name_that_documents_and_messages_use(self, language):
        for keys, text in read(language).items():
            if keys[2:3] == ("inputs",) and keys[-1] == "tooltip":
                assert keys[3] in ("image", "mask") or text.endswith(f" [{keys[3]}]")

    def test_the_same_is_said_in_the_same_words(self, language):
        said = {}
        for keys, text in read(language).items():
            text = re.sub(r" \[\w+\]$", "", text)  # the name of the input
            assert said.setdefault(english()[keys], text) == text

    def test_labels_of_a_node_differ(self, language):
        texts = read(language)
        for node in {keys[1] for keys in texts if keys[0] == "nodeDefs"}:
            labels = [
                text
                for keys, text in texts.items()
                if keys[:3] == ("nodeDefs", node, "inputs") and keys[-1] == "name"
            ]
            assert len(labels) == len(set(labels))

    def test_is_written_in_its_own_letters(self, language):
        letters = {
            "zh": "一-龥",
            "zh-TW": "一-龥",
            "ja": "ぁ-ヿ一-龥",
            "ko": "가-힣",
            "ru": "\u0400-\u04ff",
        }.get(language)
        for keys, text in read(language).items():
            if letters and not is_name(keys) and len(words(english()[keys])) > 4:
                assert re.search(f"[{letters}]", text.lower()), text
