"""The models that WaveSpeed was known to sell in September 2026, for a list without network.

Facts: the vendor's pages of its models, its collections image-upscaler-api and
video-upscaler-api, and ComfyUI's own nodes for it (0.33). A model whose parameters stand in none of
them has no schema here.
"""

from __future__ import annotations

from ...contract.catalogue import CatalogueModel
from ...contract.schema import Schema, SchemaField

IMAGE, VIDEO = SchemaField("image", ("string",)), SchemaField("video", ("string",))
_FORMAT = SchemaField(
    "output_format", ("string",), ("jpeg", "png", "webp"), "jpeg", help="File format of the result."
)
_SIZE = SchemaField(
    "target_resolution", ("string",), ("2k", "4k", "8k"), "4k", help="Size of the result."
)
_VIDEO_SIZE = SchemaField(
    "target_resolution",
    ("string",),
    ("720p", "1080p", "2k", "4k"),
    "1080p",
    help="Size of the result.",
)
_PRESETS = Schema((_SIZE, _FORMAT))
_TOPAZ = Schema((SchemaField("model", ("string",)), SchemaField("output_format", ("string",))))
_BY_STEPS = "from $0.05, by steps of the result's megapixels"


def _megapixels(most: float, *others: SchemaField, least_creativity: int = -10) -> Schema:
    return Schema(
        (
            SchemaField(
                *("target_megapixels", ("number",), (), 4),
                *(1, most, "Megapixels of the result."),
            ),
            *others,
            SchemaField(
                *("creativity", ("number",), (), 0),
                *(least_creativity, 10, "How much the model may invent."),
            ),
        )
    )


def _video(*fields: SchemaField) -> Schema:
    return Schema(fields, file=VIDEO)


IMAGE_MODELS = (
    CatalogueModel("wavespeed-ai/image-upscaler", _PRESETS, "Standard upscaler.", "$0.01"),
    CatalogueModel("wavespeed-ai/seedvr2/image", _PRESETS, "SeedVR2.", "$0.01"),
    CatalogueModel(
        "wavespeed-ai/ultimate-image-upscaler", _PRESETS, "Most detail of the three.", "$0.06"
    ),
    CatalogueModel("wavespeed-ai/real-esrgan", Schema(), "Real-ESRGAN.", "$0.0024"),
    CatalogueModel(
        "bria/increase-resolution",
        Schema((SchemaField("desired_increase", ("integer",), (2, 4), 2, help="Factor."),)),
        "Keeps to the image; results of at most 8192 x 8192 px.",
        "$0.04",
    ),
    CatalogueModel(
        "clarity-ai/pro-upscaler", _megapixels(64), "Clarity Pro.", "$0.03 per target megapixel"
    ),
    CatalogueModel(
        "clarity-ai/crystal-upscaler",
        _megapixels(1500, least_creativity=0),
        "Clarity Crystal, for very large results.",
        _BY_STEPS,
    ),
    CatalogueModel("clarity-ai/creative-upscaler", _megapixels(64), "Clarity Creative.", _BY_STEPS),
    CatalogueModel(
        "clarity-ai/flux-upscaler",
        Schema(
            tuple(
                SchemaField(name, (kind,))
                for name, kind in {
                    "target_megapixels": "number",
                    "prompt": "string",
                    "lora_link": "string",
                    "creativity": "number",
                }.items()
            )
        ),
        "Clarity Flux, by a prompt.",
        "from $0.20 to $3.20, by steps of the result's megapixels",
    ),
    CatalogueModel("recraft-ai/recraft-crisp-upscale", None, "Recraft Crisp.", "from $0.004"),
    CatalogueModel(
        "recraft-ai/recraft-creative-upscale",
        None,
        "Recraft Creative; adds detail and does not enlarge.",
        "from $0.25",
    ),
    CatalogueModel("pruna-ai/p-image/upscale", None, "Pruna P-Image.", "from $0.005"),
    CatalogueModel(
        "wavespeed-ai/phota/enhance",
        Schema(
            (SchemaField("num_images", ("integer",), (), 1, 1, 4, "How many results."), _FORMAT)
        ),
        "Phota; enhances a photo.",
        "$0.09, 4K $0.18",
    ),
    *(
        CatalogueModel(f"topaz/image/{name}", _TOPAZ, f"Topaz; {does}.", "$0.096 per 24 megapixels")
        for name, does in {
            "sharpen": "sharpens",
            "restore": "restores",
            "denoise": "takes away noise",
            "lighting": "mends the light",
        }.items()
    ),
)

VIDEO_MODELS = (
    CatalogueModel(
        "wavespeed-ai/video-upscaler",
        _video(
            _VIDEO_SIZE,
            SchemaField("copy_audio", ("boolean",), (), True, help="Keep the sound."),
        ),
        "Standard upscaler; at most 10 minutes.",
        "per 5 s: $0.025 to 1080p, $0.05 for 2k, $0.10 for 4k",
    ),
    CatalogueModel("wavespeed-ai/video-upscaler-pro", None, "", "from $0.20"),
    CatalogueModel("wavespeed-ai/ultimate-video-upscaler", None, "", "from $0.15"),
    CatalogueModel(
        "wavespeed-ai/seedvr2/video",
        _video(_VIDEO_SIZE),
        "SeedVR2; at most 10 minutes, slow.",
        "per 5 s: $0.10 for 720p, $0.20 for 1080p, $0.25 for 2k, $0.30 for 4k",
    ),
    CatalogueModel(
        "wavespeed-ai/flashvsr",
        _video(
            _VIDEO_SIZE,
            SchemaField("duration", ("number",), help="Length of the video in seconds."),
        ),
        "FlashVSR; MP4 of 5 seconds to 10 minutes.",
        "per second: $0.012 for 720p, $0.018 for 1080p, $0.024 for 2k, $0.032 for 4k",
    ),
    CatalogueModel("wavespeed-ai/ltx-2-19b/video-upscaler", None, "LTX-2.", "from $0.15"),
    CatalogueModel(
        "bytedance/video-upscaler",
        _video(SchemaField("target_resolution", ("string",))),
        "",
        "$0.0072 per second",
    ),
    CatalogueModel("bria/fibo/video-upscaler", None, "", "$0.14 per second"),
    CatalogueModel(
        "clarity-ai/crystal-video-upscaler",
        _video(SchemaField("target_megapixels", ("number",))),
        "",
        "$0.10 per megapixel and second",
    ),
    CatalogueModel("runwayml/upscale-v1", None, "", "$0.02 per second"),
)
