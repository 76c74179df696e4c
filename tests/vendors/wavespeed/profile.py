"""WaveSpeed's v3 API."""

import json
from pathlib import Path

from tests.vendors.form import Profile, Sent, Served, Words
from upscale_bridge.contract.operation import Limits
from upscale_bridge.contract.reading import read_base64
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Ticket
from upscale_bridge.errors import AuthError, BadReplyError, ProviderError, QuotaError
from upscale_bridge.vendors import WaveSpeedUpscale, WaveSpeedUpscaleAny

ID = "4c5e2f8a9b3d4e61a7c0d2f1e8b96a35"
FOUND = Done((Output(url=f"https://example.com/results/{ID}/1.jpeg"),))
ENLARGED = Output(
    data=read_base64(
        "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAH0lEQVR42mNkYIjSYGBAQ/wMDCwMNgxYAVUl+LFLAA"
        "AVngJu3Zs2iQAAAABJRU5ErkJggg=="
    )
)


def any_of(model, **options):
    """Return a run of one of the vendor's own models."""
    return WaveSpeedUpscaleAny(model=f"wavespeed-ai/{model}", options=json.dumps(options))


def by_megapixels(megapixels):
    options = json.dumps({"target_megapixels": megapixels})
    return WaveSpeedUpscaleAny(model="clarity-ai/pro-upscaler", options=options)


PROFILES = (
    Profile(
        operation=WaveSpeedUpscale,
        targets=(
            (WaveSpeedUpscale(target_resolution="8k"), (100, 50), (8192, 4096)),
            (WaveSpeedUpscale(), (1, 5000), (1, 5000)),
            (WaveSpeedUpscale(), (3, 4000), (3, 4096)),
        ),
        limits=((WaveSpeedUpscale(target_resolution="8k"), Limits(edge=8192, size=200_000_000)),),
        models=((WaveSpeedUpscale(target_resolution="2k"), (4096, 6), 1.0, ("",)),),
        ways=((WaveSpeedUpscale(), ("upload", "data_uri"), ""),),
        samples=Path(__file__).parent / "samples",
        submits=(
            # A creativity of 0 says nothing, and newer versions of the contract know no such field.
            Sent(
                "submit_request",
                WaveSpeedUpscale(output_format="jpeg"),
                "url",
                less=("creativity",),
            ),
            Sent("submit_request_now", WaveSpeedUpscale(output_format="jpeg"), "url"),
            Sent(
                "submit_request_sync",
                WaveSpeedUpscale(enable_base64_output=True, enable_sync_mode=True),
                "url",
            ),
        ),
        accepted={
            "submit_reply": Ticket(ID),
            "submit_reply_sync": Done((ENLARGED,), ID),
            "submit_reply_sync_timed_out": Ticket(ID),
        },
        poll=("result_request", ID),
        states={
            "result_completed": FOUND,
            "result_completed_object": FOUND,
            "result_completed_base64": Done((ENLARGED,)),
            "result_created": Queued(),
            "result_processing": Running(),
            "submit_reply_sync_timed_out": Running(),
            "result_cancelled": Failed("The task is cancelled."),
            "result_deleted": Failed("The task is deleted."),
            "result_timeout": Failed("The task timed out."),
            "result_failed": Failed("The task could not be completed.", "1403"),
            "result_failed_media": Failed("Unable to access the media URL.", "1402"),
            "result_failed_moderation": Failed("The content is sensitive.", "1200"),
        },
        errors={
            "error_balance": (QuotaError, 402),
            "error_key": (AuthError, 401),
            "error_not_found": (ProviderError, 404),
            "error_parameter": (ProviderError, 400),
            "error_rate": (QuotaError, 429),
            "error_server": (BadReplyError, 500),
        },
        words=Words("created", "processing", "completed"),
        id_first=True,
        long_edge=128,
        served=Served(
            small={"target_resolution": "2k"},
            sources=("data_uri", "url"),
            refusals={status: (status, status) for status in (400, 401, 404, 409, 429, 503)},
            flags=True,
            inline=True,
        ),
    ),
    Profile(
        operation=WaveSpeedUpscaleAny,
        targets=(
            (WaveSpeedUpscaleAny(), (100, 50), (4096, 2048)),
            (any_of("seedvr2/image", target_resolution="8k"), (100, 50), (8192, 4096)),
            (by_megapixels(3), (1500, 2000), (1500, 2000)),
        ),
        sending={"options": '{"output_format": "png"}'},
        limits=(
            (any_of("image-upscaler", target_resolution="2k"), Limits(edge=2048, size=200_000_000)),
            (any_of("real-esrgan"), Limits(size=200_000_000)),
        ),
        models=((WaveSpeedUpscaleAny(), (4096, 6), 1.0, ("",)),),
        ways=((WaveSpeedUpscaleAny(), ("upload", "data_uri"), ""),),
        samples=Path(__file__).parent / "samples",
        submits=(
            Sent(
                "submit_request_now",
                any_of("image-upscaler", target_resolution="4k", output_format="jpeg"),
                "url",
                less=("enable_base64_output", "enable_sync_mode"),
            ),
        ),
        accepted={"submit_reply": Ticket(ID)},
        poll=("result_request", ID),
        states={"result_completed": FOUND, "result_created": Queued()},
        errors={"error_balance": (QuotaError, 402), "error_key": (AuthError, 401)},
        words=Words("created", "processing", "completed"),
        id_first=True,
        long_edge=128,
    ),
)
