"""Acme's endpoints."""

from tests.fakes.answers import Manner, Route, as_json, number, reason, scaled

TASKS = "/acme/v1/upscales"
WORDS = {word: (word,) for word in ("queued", "running", "done", "failed")}


def refusal(kind, status, message):
    """Return a refusal."""
    return as_json({"error": message}, status)


def submit(service, x):
    """Accept a submit."""
    body = x.json()
    image = service.take(body.pop("image", None))
    size = scaled(image.size, number(body.get("scale") or 2, 2, 4))
    return as_json({"id": service.accept(x, body, image, size, "png").id})


def status(service, x):
    """Tell of a task."""
    task = service.find(x, x.match["id"])
    now = service.clock.now(task, WORDS, x.word)
    told = {"status": now.word}
    if now.phase == "done":
        told["url"] = service.file_url(task)
    if now.phase == "failed":
        told["error"] = reason(task, now)
    return as_json(told)


MANNER = Manner(refusal)
ROUTES = (
    Route("POST", TASKS, "submit", submit, MANNER),
    Route("GET", f"{TASKS}/(?P<id>[^/]+)", "poll", status, MANNER),
)
