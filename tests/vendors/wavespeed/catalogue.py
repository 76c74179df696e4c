"""A catalogue as `GET /api/v3/models` gives one: upscalers among models of other kinds.

The form is that of the official CLI 0.2.2 and of the vendor's MCP server; the models are made up
after those that the vendor sold in 2026, some of them newer than what ships.
"""

BASE64 = {"type": "boolean", "default": False, "description": "Answer with the file itself."}
SYNC = {"type": "boolean", "default": False, "description": "Wait for the result."}
SIZE = {"type": "string", "enum": ["2k", "4k", "8k"], "default": "4k", "description": "Its size."}
FORMAT = {"type": "string", "enum": ["jpeg", "png", "webp"], "default": "jpeg"}
MEGAPIXELS = {
    "type": "number",
    "default": 4,
    "minimum": 1,
    "maximum": 64,
    "description": "Target resolution in\n megapixels.",
}


def model(name, price, properties, file="image", required=(), formula="", about="", kind=None):
    """Return one model."""
    given = {file: {"type": "string", "description": f"The {file} to upscale."}, **properties}
    schema = {
        "type": "object",
        "properties": given | {"enable_sync_mode": SYNC, "enable_base64_output": BASE64},
        "required": [file, *required],
        "x-order-properties": list(given),
    }
    return {
        "model_id": name,
        "name": name.rpartition("/")[2],
        "description": about or f"{name} upscales {file}s.",
        "type": kind or f"{file}-to-{file}",
        "base_price": price,
        "formula": formula,
        "sort_order": 0,
        "api_schema": {"api_schemas": [{"type": "model_run", "request_schema": schema}]},
    }


CREATIVITY = {"type": ["number", "null"], "minimum": -10, "maximum": 10, "default": 0}
PRESETS = {"target_resolution": SIZE, "output_format": FORMAT}
LENGTH = {"type": "string", "enum": ["720p", "1080p", "2k", "4k"], "default": "1080p"}

MODELS = [
    model("wavespeed-ai/image-upscaler", 0.01, PRESETS),
    model("wavespeed-ai/seedvr2/image", 0.01, PRESETS),
    model("wavespeed-ai/ultimate-image-upscaler", 0.06, PRESETS),
    model("wavespeed-ai/real-esrgan", 0.0024, {"face_enhance": {"type": "boolean"}}),
    model(
        "bria/increase-resolution",
        0.04,
        {"desired_increase": {"type": "integer", "enum": [2, 4], "default": 2}},
        about="Increases resolution; a super-resolution model.",
    ),
    model(
        "clarity-ai/pro-upscaler",
        0.03,
        {"target_megapixels": MEGAPIXELS, "creativity": CREATIVITY},
        formula="0.03 * $max([1, target_megapixels])",
    ),
    model(
        "clarity-ai/flux-upscaler",
        0.2,
        {"target_megapixels": MEGAPIXELS, "prompt": {"type": "string"}},
        required=("prompt",),
    ),
    model("topaz/image/sharpen", 0.096, {}, formula="0.096 * $ceil(image / 24)"),
    model("nextgen/upscale-9000", 0.5, {"seed": {"type": "integer", "minimum": -1}}),
    model(
        "nextgen/closed-enhance",
        0.5,
        {"strength": {"type": "number", "minimum": 0, "maximum": 1}},
        about="Enhances a photo.",
    ),
    model("wavespeed-ai/video-upscaler", 0.025, {"target_resolution": LENGTH}, "video"),
    model("wavespeed-ai/flashvsr", 0.012, {"target_resolution": LENGTH}, "video"),
    model("wavespeed-ai/flux-dev", 0.012, {"prompt": {"type": "string"}}, "prompt"),
    model("acme/edit", 0.02, {}, "images", about="Edits and enhances images."),
    model("acme/paint", 0.02, {"prompt": {"type": "string"}}, about="Paints over an image."),
    model("../../evil-upscale", 0.0, {}),
    {"model_id": 7, "description": "upscale"},
]
for _one in MODELS:
    if _one["model_id"] == "nextgen/closed-enhance":
        _one["api_schema"]["api_schemas"][0]["request_schema"]["additionalProperties"] = False
