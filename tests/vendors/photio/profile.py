"""Photio's one call without tasks."""

from pathlib import Path

from tests.vendors.form import Profile, Sent, Served
from upscale_bridge.contract.operation import Limits
from upscale_bridge.contract.reading import read_base64
from upscale_bridge.contract.tasks import Done, Output
from upscale_bridge.errors import AuthError, BadReplyError
from upscale_bridge.vendors import PhotioUpscale

ENLARGED = Output(
    data=read_base64(
        "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAH0lEQVR42mNkYIjSYGBAQ/wMDCwMNgxYAVUl+LFLAA"
        "AVngJu3Zs2iQAAAABJRU5ErkJggg=="
    )
)
# The example leaves everything to the document's defaults; we say them.
DEFAULTS = ("upscale_by", "prompt", "negative_prompt", "quality", "denoising_strength")

PROFILES = (
    Profile(
        operation=PhotioUpscale,
        targets=(
            (PhotioUpscale(), (5, 7), (10, 14)),
            (PhotioUpscale(upscale_by="4"), (5, 7), (20, 28)),
        ),
        limits=((PhotioUpscale(), Limits(result_edge=4096)),),
        models=((PhotioUpscale(upscale_by="4"), (8, 6), 4.0, ("",)),),
        ways=(
            (PhotioUpscale(image_url="https://a.example/b"), ("base64",), "https://a.example/b"),
        ),
        samples=Path(__file__).parent / "samples",
        submits=(
            Sent("upscale_request", PhotioUpscale(), "url", more=DEFAULTS),
            Sent("upscale_request_full", PhotioUpscale(), "base64"),
        ),
        accepted={
            "upscale_reply": Done((ENLARGED,)),
            "upscale_reply_data_uri": Done((ENLARGED,)),
        },
        errors={
            "error_401": (AuthError, 401),
            "error_401_in_200": (AuthError, 401),
            "error_500": (BadReplyError, 500),
            "error_500_in_200": (BadReplyError, 500),
        },
        error_words=("body",),
        served=Served(
            sources=("base64", "url"),
            refusals={status: (status, status) for status in (400, 401, 404, 409, 429, 503)},
            code="status_code",
        ),
    ),
)
