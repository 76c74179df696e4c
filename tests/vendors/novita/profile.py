"""Novita's three APIs."""

from pathlib import Path

from tests.vendors.form import Profile, Sent, Served, Words
from upscale_bridge.contract.operation import Limits
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Ticket
from upscale_bridge.errors import AuthError, BadReplyError, ProviderError, QuotaError
from upscale_bridge.vendors import NovitaUpscale, NovitaUpscaleToResolution, NovitaUpscaleV2

SAMPLES = Path(__file__).parent / "samples"
ID = "71dd988e-632e-4339-b217-74bcbe6db0ee"
V2_ID = "5f1c9d1e-6b59-4c0b-9a3e-1f6d0e6c2a77"
NO_TASK, INVALID, DOUBT = (ProviderError, 404), (ProviderError, 400), (BadReplyError, 500)
SIGNED = (
    "https://faas-output-image.s3.ap-southeast-1.amazonaws.com/prod/71dd988e-632e-433"
    "9-b217-74bcbe6db0ee/949a5ba965c84bd99764ca9b2f51fc6a.jpeg?X-Amz-Algorithm=AWS4-H"
    "MAC-SHA256&X-Amz-Credential=AKIAEXAMPLEEXAMPLE00%2F20240321%2Fap-southeast-1%2Fs"
    "3%2Faws4_request&X-Amz-Date=20240321T093338Z&X-Amz-Expires=3600&X-Amz-SignedHead"
    "ers=host&x-id=GetObject&X-Amz-Signature=EXAMPLE"
)
BLEND = {"upscaler_2": "a", "extras_upscaler_2_visibility": 0.5}
V3 = {
    "samples": SAMPLES / "v3",
    "poll": ("task_result_request", ID),
    "words": Words("TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED"),
}
V3_SERVED = {
    "refusals": {
        400: (400, "INVALID_REQUEST_BODY"),
        401: (403, "INVALID_API_KEY"),
        404: (404, "TASK_NOT_FOUND"),
        409: (409, "CREATE_TASK_FAILED"),
        429: (429, "RATE_LIMIT_EXCEEDED"),
        503: (503, "CREATE_TASK_FAILED"),
    },
    "code": "reason",
    "fractions": True,
}

PROFILES = (
    Profile(
        operation=NovitaUpscale,
        targets=(
            (NovitaUpscale(), (33, 17), (66, 34)),
            (NovitaUpscale(scale_factor=1.5), (101, 3), (152, 4)),
        ),
        limits=((NovitaUpscale(), Limits(edge=2048, size=30_000_000)),),
        models=(
            (
                NovitaUpscale(model_name="4x-UltraSharp", scale_factor=3),
                (8, 6),
                3.0,
                ("4x-UltraSharp",),
            ),
        ),
        ways=((NovitaUpscale(), ("base64",), ""),),
        submits=(Sent("upscale_request", NovitaUpscale(response_image_type="jpeg"), "base64"),),
        accepted={"upscale_reply": Ticket(ID)},
        states={
            "task_result_succeed": Done((Output(url=SIGNED),)),
            "task_result_queued": Queued(),
            "task_result_processing": Running(0.42),
            "task_result_unknown": Running(),
            "task_result_failed": Failed("failed to upscale the image"),
        },
        errors={
            "error_api_not_allowed": (AuthError, 403),
            "error_api_not_found": NO_TASK,
            "error_billing_balance_not_enough": (QuotaError, 400),
            "error_create_task_failed": DOUBT,
            "error_get_result_failed": DOUBT,
            "error_illegal_image_content": INVALID,
            "error_image_exceeds_max_resolution": INVALID,
            "error_image_file_exceeds_max_size": INVALID,
            "error_invalid_api_key": (AuthError, 403),
            "error_invalid_image_format": INVALID,
            "error_invalid_request_body": INVALID,
            "error_missing_api_key": (AuthError, 400),
            "error_rate_limit_exceeded": (QuotaError, 429),
            "error_task_not_found": NO_TASK,
        },
        served=Served(small={"model_name": "4x-UltraSharp"}, sources=("base64",), **V3_SERVED),
        **V3,
    ),
    Profile(
        operation=NovitaUpscaleToResolution,
        targets=(
            (NovitaUpscaleToResolution(resolution="2k"), (400, 300), (2048, 1536)),
            (NovitaUpscaleToResolution(), (300, 400), (3072, 4096)),
            (NovitaUpscaleToResolution(resolution="8k"), (8192, 1), (8192, 1)),
            (NovitaUpscaleToResolution(resolution="2k"), (5000, 10), (5000, 10)),
        ),
        limits=((NovitaUpscaleToResolution(resolution="2k"), Limits(edge=2048)),),
        models=((NovitaUpscaleToResolution(resolution="2k"), (1024, 6), 2.0, ("",)),),
        ways=(
            (
                NovitaUpscaleToResolution(image_url="https://a.example/b"),
                ("url",),
                "https://a.example/b",
            ),
            (NovitaUpscaleToResolution(send_data_uri=True), ("data_uri",), ""),
        ),
        submits=(
            Sent("image_upscaler_request", NovitaUpscaleToResolution(output_format="jpeg"), "url"),
        ),
        accepted={"image_upscaler_reply": Ticket(ID)},
        sending={"send_data_uri": True},
        long_edge=128,
        served=Served(small={"resolution": "2k"}, sources=("data_uri", "url"), **V3_SERVED),
        **V3,
    ),
    Profile(
        operation=NovitaUpscaleV2,
        targets=(
            (NovitaUpscaleV2(upscaling_resize=3), (5, 7), (8, 16)),
            (NovitaUpscaleV2(resize_mode="to size"), (5, 7), (1024, 1024)),
            (
                NovitaUpscaleV2(resize_mode="to size", upscaling_crop=False),
                (512, 256),
                (2048, 1024),
            ),
        ),
        limits=((NovitaUpscaleV2(), Limits(result_edge=2048)),),
        models=(
            (NovitaUpscaleV2(), (8, 6), 2.0, ("RealESRGAN_x4plus",)),
            (NovitaUpscaleV2(upscaler_1="my own"), (8, 6), 2.0, ("my own",)),
            (NovitaUpscaleV2(upscaler_1="None", **BLEND), (8, 6), 1.0, ()),
            (NovitaUpscaleV2(upscaler_1="", **BLEND), (8, 6), 1.0, ()),
            (NovitaUpscaleV2(upscaler_1="Lanczos"), (8, 6), 2.0, ()),
            (NovitaUpscaleV2(upscaler_1="Nearest", **BLEND), (8, 6), 2.0, ("a",)),
            (NovitaUpscaleV2(**BLEND), (8, 6), 2.0, ("RealESRGAN_x4plus", "a")),
            (
                NovitaUpscaleV2(upscaler_1="a", **BLEND, resize_mode="to size"),
                (8, 512),
                128.0,
                ("a",),
            ),
            (NovitaUpscaleV2(upscaling_resize=0.5), (8, 6), 0.5, ("RealESRGAN_x4plus",)),
        ),
        ways=((NovitaUpscaleV2(), ("base64",), ""),),
        samples=SAMPLES / "v2",
        submits=(
            Sent(
                "upscale_request",
                NovitaUpscaleV2(
                    resize_mode="to size",
                    upscaler_2="R-ESRGAN 4x+",
                    extras_upscaler_2_visibility=0.5,
                    gfpgan_visibility=0.5,
                    codeformer_visibility=0.5,
                    codeformer_weight=0.5,
                ),
                "base64",
            ),
        ),
        accepted={"upscale_reply": Ticket(V2_ID)},
        poll=("progress_request", V2_ID),
        states={
            "progress_succeed": Done((Output(url=f"https://example.com/results/{V2_ID}-0.png"),)),
            "progress_init": Queued(),
            # The one number that a document shows is 1, of a task that is done: a share of 1.
            "progress_running": Running(0.42),
            "progress_failed": Failed("failed to upscale the image"),
            "progress_timeout": Failed("timeout"),
        },
        errors={
            "error_auth": (AuthError, None),
            "error_balance": (QuotaError, 402),
            "error_host": DOUBT,
            "error_internal": DOUBT,
            "error_invalid_json": INVALID,
            "error_model": INVALID,
            "error_not_supported": INVALID,
            "error_range": INVALID,
            "error_sampler": INVALID,
            "error_task": NO_TASK,
            "error_timeout": DOUBT,
        },
        error_words=("msg",),
        words=Words(0, 1, 2),
        served=Served(
            small={"upscaler_1": "UpscaleBridge-x4"},
            sources=("base64",),
            either=(
                "upscaling_resize",
                "upscaling_resize_w",
                "upscaling_resize_h",
                "upscaling_crop",
            ),
            no_code=(418,),
            refusals={
                400: (200, 6),
                401: (200, 4),
                404: (200, 3),
                409: (200, 6),
                429: (429, -1),
                503: (200, -1),
            },
        ),
    ),
)
