"""Models of a live catalogue in ComfyUI's page: the form of their options, prices and limits."""

import json
import os
from pathlib import Path

import pytest

from tests.live import pages
from tests.vendors.wavespeed.catalogue import MODELS

pytestmark = pages.pytestmark

NODE = "WaveSpeedUpscaleAny"
PRO = "clarity-ai/pro-upscaler"
SEEN = os.environ.get("UPSCALE_BRIDGE_PICTURES")  # a folder for pictures of what was seen


def widget(page, name):
    """Return the value of one of the node's widgets."""
    return page.evaluate(
        """([type, name]) => app.graph.nodes.find((node) => node.comfyClass === type)
            .widgets.find((widget) => widget.name === name).value""",
        [NODE, name],
    )


def field(page, name):
    return page.locator(".upscale-bridge-form").first.get_by_label(name, exact=True)


def keep(page, name):
    if SEEN:
        page.screenshot(path=Path(SEEN) / f"{name}.png")


@pytest.fixture
def sold(comfyui):
    comfyui.service.catalogue = MODELS
    return comfyui


def test_without_the_live_catalogue_the_form_is_that_of_what_ships(comfyui, page):
    comfyui.service.catalogue = None
    pages.load(page, "WaveSpeed Upscale Any")
    pages.expect(field(page, "target_resolution")).to_have_value("4k")
    pages.set_widget(page, NODE, "model", "recraft-ai/recraft-crisp-upscale")
    pages.expect(field(page, "target_resolution")).to_have_count(0)
    pages.expect(pages.panel(page)).to_contain_text("come with WaveSpeed's live catalogue")
    assert json.loads(widget(page, "options")) == {
        "target_resolution": "4k",
        "output_format": "png",
    }


@pytest.mark.parametrize(("vue", "theme"), pages.LOOKS, ids=lambda value: str(value))
def test_the_form_writes_the_options(sold, page, vue, theme):
    pages.look(page, vue, theme)
    pages.load(page, "WaveSpeed Upscale Any")
    pages.set_widget(page, NODE, "options", '{"kept": [1], "target_resolution": "2k"}')
    pages.expect(field(page, "target_resolution")).to_have_value("2k")
    field(page, "target_resolution").select_option("8k")
    assert json.loads(widget(page, "options")) == {"kept": [1], "target_resolution": "8k"}
    pages.expect(pages.panel(page)).to_contain_text("→ 8192 × 8192 px")  # noqa: RUF001
    field(page, "target_resolution").select_option("")
    assert json.loads(widget(page, "options")) == {"kept": [1]}
    pages.set_widget(page, NODE, "model", PRO)
    field(page, "target_megapixels").fill("16")
    field(page, "target_megapixels").blur()
    assert json.loads(widget(page, "options")) == {"kept": [1], "target_megapixels": 16}
    pages.expect(pages.panel(page)).to_contain_text("The model names no parameter kept")
    keep(page, f"form_{'vue' if vue else 'classic'}_{theme}")


def test_what_is_wrong_is_said_before_a_run(sold, page):
    pages.load(page, "WaveSpeed Upscale Any")
    pages.set_widget(page, NODE, "options", '{"target_resolution": "16k"}')
    pages.expect(pages.panel(page)).to_contain_text("must be one of 2k, 4k, 8k; got 16k.")
    pages.expect(field(page, "target_resolution")).to_have_value("16k")
    pages.set_widget(page, NODE, "options", "{")
    pages.expect(pages.panel(page)).to_contain_text("options must be a JSON object")
    pages.expect(field(page, "target_resolution")).to_be_disabled()


def test_new_models_reach_the_list(sold, page):
    pages.load(page, "WaveSpeed Upscale Any")
    page.wait_for_function(
        """() => app.graph.nodes.find((node) => node.comfyClass === "WaveSpeedUpscaleAny")
            .widgets.find((widget) => widget.name === "model")
            .options.values.includes("nextgen/upscale-9000")"""
    )


def test_the_price_is_shown_and_limits_what_runs(sold, page):
    sold.configure(show_prices=True, max_cost_run=0.2)
    try:
        pages.load(page, "WaveSpeed Upscale Any")
        pages.set_widget(page, NODE, "model", PRO)
        pages.set_widget(page, NODE, "options", '{"target_megapixels": 16}')
        pages.expect(pages.panel(page)).to_contain_text("$0.48 per image. $12.50 are left.")
        keep(page, "price")
        tasks = len(sold.service.tasks)
        assert "more than max_cost_run allows ($0.20)" in json.dumps(pages.finish(sold, page))
        assert len(sold.service.tasks) == tasks
    finally:
        sold.configure()


def test_a_model_of_the_live_catalogue_runs(sold, page):
    pages.load(page, "WaveSpeed Upscale Any")
    pages.set_widget(page, NODE, "model", "nextgen/upscale-9000")
    pages.set_widget(page, NODE, "options", '{"seed": 3, "output_format": "png"}')
    entry = pages.finish(sold, page)
    assert entry["status"]["status_str"] == "success"
    assert sold.service.tasks[-1].operation == "/api/v3/nextgen/upscale-9000"
    assert sold.service.tasks[-1].body == {"seed": 3, "output_format": "png"}
    keep(page, "ran")
