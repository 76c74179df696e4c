"""WaveSpeed's endpoints."""

import base64
import datetime
import re
import time
import uuid

from tests.fakes.answers import (
    FORMATS,
    Refusal,
    Route,
    as_json,
    number,
    one_of,
    reason,
    to_edge,
)
from tests.fakes.tasks import Submitted

WORDS = {
    "queued": ("created",),
    "running": ("processing",),
    "done": ("completed", "succeeded", "success", "done"),
    "failed": ("failed", "error", "cancelled", "canceled", "timeout", "deleted"),
}


def submit(service, x):
    """Accept POST /api/v3/{model}."""
    body = x.json()
    if "video" in body:
        return submit_video(service, x, body)
    text = body.pop("image", None)
    edge = service.edge(one_of(body.get("target_resolution") or "4k", tuple(service.preset_edges)))
    kind = one_of(body.get("output_format") or "jpeg", FORMATS)
    try:
        image = service.take(text)
    except Refusal:
        if not str(text).startswith("http"):
            raise
        task = service.accept(x, body, service.nothing(text), (0, 0), kind)
        task.failure = ("The media address cannot be reached.", 1402)
    else:
        task = service.accept(x, body, image, to_edge(image.size, edge), kind)
    if body.get("enable_sync_mode"):
        service.rest(min(service.clock.total, service.sync_limit))
        return state(service, x, task, timed_out=service.clock.total > service.sync_limit)
    return state(service, x, task, word="created")


def submit_video(service, x, body):
    """Accept POST /api/v3/{model} of a video, which comes by an address alone."""
    url = body.pop("video")
    if not isinstance(url, str) or not url.startswith("http"):
        raise Refusal("body", "video must be an address")
    one_of(body.get("target_resolution") or "1080p", ("720p", "1080p", "2k", "4k"))
    data = service.uploaded(url)
    task = service.accept(x, body, Submitted(data or b"", (0, 0), "upload", url), (0, 0), "mp4")
    if data is None:
        task.failure = ("The media address cannot be reached.", 1402)
    return state(service, x, task, word="created")


def result(service, x):
    """Answer GET /api/v3/predictions/{id}/result and /api/v3/predictions/{id}."""
    return state(service, x, service.find(x, x.match["id"]))


def state(service, x, task, word=None, timed_out=False):
    """Return the envelope that submits and polls share."""
    word = "processing" if timed_out else x.word or word
    now = service.clock.now(task, WORDS, word)
    outputs = [output(service, x, task)] if now.phase == "done" else []
    data = {
        "id": task.id,
        "model": task.operation.removeprefix("/api/v3/"),
        "outputs": outputs,
        "urls": {"get": f"{service.base_url}/api/v3/predictions/{task.id}/result"},
        "has_nsfw_contents": [False for _ in outputs],
        "status": now.word,
        "created_at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "error": reason(task, now),
        "timings": {"inference": int(service.clock.total * 1000)},
    }
    if now.phase == "failed":
        data["code"] = task.failure[1] if task.failure else 1403
    if timed_out:
        data |= {"code": 5004, "error": "Sync mode timed out, the task goes on."}
    return as_json({"code": 200, "message": "success", "data": data})


def history(service, x):
    """Answer POST /api/v3/predictions, a list that lags behind."""
    if not service.history:
        raise Refusal("path")
    asked, size = x.json(), 100
    after, before = (moment(asked[name]) for name in ("created_after", "created_before"))
    with service.lock:
        service.hidden_looks -= 1
        seen = service.tasks if service.hidden_looks < 0 else []
        items = [
            listed(task)
            for task in reversed(seen)
            if task.operation == f"/api/v3/{asked['model']}"
            and after <= since_1970(task) <= before
            and time.monotonic() - task.created >= service.history_lag
        ]
    first = size * (int(number(asked["page"], 1, 1000)) - 1)
    data = {"page": asked["page"], "items": items[first : first + size]}
    return as_json({"code": 200, "message": "success", "data": data})


def models(service, x):
    """Answer GET /api/v3/models."""
    if service.catalogue is None:
        raise Refusal("path")
    return as_json({"code": 200, "message": "success", "data": service.catalogue})


def price(service, x):
    """Answer POST /api/v3/model/price: the base price, for each megapixel where that counts."""
    asked = x.json()
    found = {one["model_id"]: one for one in service.catalogue or () if "base_price" in one}
    if asked.get("model_id") not in found:
        raise Refusal("body", f"unknown model {asked.get('model_id')}")
    amount = found[asked["model_id"]]["base_price"]
    if "target_megapixels" in found[asked["model_id"]]["formula"]:
        amount *= asked["inputs"].get("target_megapixels", 1)
    data = {"model_id": asked["model_id"], "price": amount, "discounted_price": amount}
    return as_json({"code": 200, "message": "success", "data": {**data, "currency": "USD"}})


def balance(service, x):
    """Answer GET /api/v3/balance."""
    return as_json({"code": 200, "message": "success", "data": {"balance": service.balance}})


def listed(task):
    file = task.url or "data:image/png;base64," + base64.b64encode(task.image).decode()
    created = datetime.datetime.fromtimestamp(since_1970(task), datetime.timezone.utc)
    inputs = {"video" if task.format == "mp4" else "image": file, **task.body}
    return {"id": task.id, "status": "done", "inputs": inputs, "created_at": created.isoformat()}


def since_1970(task):
    return time.time() - (time.monotonic() - task.created)


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def output(service, x, task):
    if not task.body.get("enable_base64_output"):
        return service.file_url(task)
    return base64.b64encode(task.picture(x.alter)[0]).decode()


def ticket(service, x):
    """Answer POST /api/v3/media/uploads with an address for one PUT."""
    asked = x.json()
    if not asked.get("filename") or not number(asked.get("size"), 1, 200 << 20):
        raise Refusal("body", "filename and size are needed")
    name = uuid.uuid4().hex
    headers = {"Content-Type": asked["content_type"]} if asked.get("content_type") else {}
    service.tickets[name] = (int(asked["size"]), headers)
    upload = {
        "method": "PUT",
        "url": service.signed(f"/put/{name}"),
        "headers": headers,
    }
    data = {"upload": upload, "download_url": service.upload_url(name, asked["filename"])}
    return as_json({"code": 200, "message": "success", "data": data})


def legacy(service, x):
    """Answer POST /api/v3/media/upload/binary, a form with one file."""
    boundary = re.search(r'boundary="?([^";]+)', x.headers.get("content-type", ""))
    for part in x.body.split(f"--{boundary[1]}".encode()) if boundary else ():
        head, _, data = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            data, name = data.removesuffix(b"\r\n"), uuid.uuid4().hex
            service.uploads[name] = data
            url = service.upload_url(name, "upload")
            about = {"type": "image", "download_url": url, "filename": name, "size": len(data)}
            return as_json({"code": 200, "message": "success", "data": about})
    raise Refusal("body", "no part named file")


ROOT = "/api/v3/"
ROUTES = (
    Route("POST", f"{ROOT}media/uploads", "ticket", ticket),
    Route("POST", f"{ROOT}media/upload/binary", "legacy", legacy),
    Route("POST", f"{ROOT}predictions", "history", history),
    Route("GET", f"{ROOT}models", "models", models),
    Route("POST", f"{ROOT}model/price", "price", price),
    Route("GET", f"{ROOT}balance", "balance", balance),
    Route("GET", f"{ROOT}predictions/(?P<id>[^/]+)(/result)?", "poll", result),
    Route("POST", f"{ROOT}(?!predictions/|media/|model/)[^/]+/.+", "submit", submit),
)
