"""Novita's endpoints, version 3 and the deprecated version 2."""

from tests.fakes.answers import (
    FORMATS,
    Manner,
    Refusal,
    Route,
    as_json,
    number,
    one_of,
    reason,
    scaled,
    to_edge,
)

MODELS = ("RealESRGAN_x4plus_anime_6B", "RealESRNet_x4plus", "4x-UltraSharp")
WORDS = {
    "queued": ("TASK_STATUS_QUEUED",),
    "running": ("TASK_STATUS_PROCESSING",),
    "done": ("TASK_STATUS_SUCCEED", "TASK_STATUS_SUCCEEDED", "SUCCEED", "SUCCESS"),
    "failed": ("TASK_STATUS_FAILED",),
}
V2_WORDS = {"queued": (0,), "running": (1,), "done": (2,), "failed": (3, 4)}
ERRORS = {
    "key": (403, "INVALID_API_KEY"),
    "no_key": (400, "MISSING_API_KEY"),
    "body": (400, "INVALID_REQUEST_BODY"),
    "image": (400, "INVALID_IMAGE_FORMAT"),
    "too_large": (400, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    "moderation": (400, "ILLEGAL_IMAGE_CONTENT"),
    "balance": (400, "BILLING_BALANCE_NOT_ENOUGH"),
    "forbidden": (403, "API_NOT_ALLOWED"),
    "task": (404, "TASK_NOT_FOUND"),
    "path": (404, "API_NOT_FOUND"),
    "conflict": (409, "IDEMPOTENCY_KEY_REUSED"),
    "rate": (429, "RATE_LIMIT_EXCEEDED"),
    "server": (500, "CREATE_TASK_FAILED"),
}
V2_ERRORS = {
    "server": -1,
    "json": 1,
    "task": 3,
    "key": 4,
    "no_key": 4,
    "body": 6,
    "image": 6,
    "too_large": 6,
    "balance": 7,
}


def refusal(kind, status, message):
    """Return a refusal of version 3."""
    status, reason = ERRORS[kind]
    body = {"code": status, "reason": reason, "message": message, "metadata": {}}
    return as_json(body, status)


def v2_refusal(kind, status, message):
    """Return a refusal of version 2, which has no code for some kinds."""
    if kind not in V2_ERRORS:
        return as_json({"code": status, "message": message}, status)
    return as_json({"code": V2_ERRORS[kind], "msg": message, "data": {}})


def upscale(service, x):
    """Accept POST /v3/async/upscale."""
    body = x.json()
    request, extra = body.get("request") or {}, body.get("extra") or {}
    text = request.pop("image_base64", None)
    scale = number(request.get("scale_factor"), 1, 4, above=True)
    one_of(request.get("model_name"), MODELS)
    kind = one_of(extra.get("response_image_type") or "png", FORMATS)
    image = service.take(text)
    if max(image.size) > 2048:
        raise Refusal("too_large", f"{image.size} is more than 2048x2048")
    task = service.accept(x, body, image, scaled(image.size, scale), kind)
    return as_json({"task_id": task.id})


def image_upscaler(service, x):
    """Accept POST /v3/async/image-upscaler."""
    body = x.json()
    image = service.take(body.pop("image", None))
    edge = service.edge(one_of(body.get("resolution") or "4k", tuple(service.preset_edges)))
    kind = one_of(body.get("output_format") or "jpeg", FORMATS)
    task = service.accept(x, body, image, to_edge(image.size, edge), kind)
    return as_json({"task_id": task.id})


def task_result(service, x):
    """Answer GET /v3/async/task-result."""
    task = service.find(x, x.parameter("task_id"))
    now = service.clock.now(task, WORDS, x.word)
    images = [
        {
            "image_url": service.file_url(task),
            "image_url_ttl": "3600",
            "image_type": task.format,
            "nsfw_detection_result": None,
        }
    ]
    state = {
        "task_id": task.id,
        "task_type": "UPSCALE",
        "status": now.word,
        "reason": reason(task, now),
        "eta": 0,
        "progress_percent": now.percent,
    }
    return as_json(
        {
            "extra": {"enable_nsfw_detection": False},
            "task": state,
            "images": images if now.phase == "done" else [],
            "videos": [],
        }
    )


def v2_upscale(service, x):
    """Accept POST /v2/upscale."""
    body = x.json("json")
    image = service.take(body.pop("image", None))
    width, height = image.size
    if body.get("resize_mode") in (None, 0):
        scale = number(body.get("upscaling_resize") or 2, 1, 8)
        target, crop = scaled(image.size, scale), False
    else:
        asked = (
            int(number(body.get("upscaling_resize_w"), 1, 2048)),
            int(number(body.get("upscaling_resize_h"), 1, 2048)),
        )
        cover = scaled(image.size, max(asked[0] / width, asked[1] / height))
        crop = bool(body.get("upscaling_crop"))
        target = asked if crop else cover
    if max(target) > 2048:
        raise Refusal("too_large", "the maximum image size is 2048")
    task = service.accept(x, body, image, target, "png", crop)
    return as_json({"code": 0, "msg": "", "data": {"task_id": task.id, "warn": ""}})


def v2_progress(service, x):
    """Answer GET /v2/progress."""
    task = service.find(x, x.parameter("task_id"))
    now = service.clock.now(task, V2_WORDS, x.word)
    data = {
        "status": int(now.word) if str(now.word).isdigit() else now.word,
        "progress": int(now.phase == "done"),
        "eta_relative": 0,
        "imgs": [service.file_url(task)] if now.phase == "done" else [],
        "info": "",
        "failed_reason": reason(task, now),
        "current_images": [],
        "submit_time": "",
        "execution_time": "",
        "txt2img_time": "",
        "finish_time": "",
        "enable_nsfw_detection": False,
        "nsfw_detection_result": [],
    }
    return as_json({"code": 0, "msg": "", "data": data})


V3, V2 = Manner(refusal), Manner(v2_refusal)
ROUTES = (
    Route("POST", "/v3/async/upscale", "submit", upscale, V3),
    Route("POST", "/v3/async/image-upscaler", "submit", image_upscaler, V3),
    Route("GET", "/v3/async/task-result", "poll", task_result, V3),
    Route("POST", "/v2/upscale", "submit", v2_upscale, V2),
    Route("GET", "/v2/progress", "poll", v2_progress, V2),
)
