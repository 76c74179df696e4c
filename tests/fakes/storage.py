"""Signed storage, where uploads go and results come from."""

from tests.fakes.answers import Answer, Refusal


def refusal(kind, status, message):
    """Return a refusal in the manner of signed storage."""
    text = f"<?xml version='1.0'?><Error><Code>{kind}</Code><Message>{message}</Message></Error>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


def put(service, x):
    """Take the raw bytes of an upload, as strictly as signed storage does."""
    size, headers = service.tickets.get(x.match["id"], (0, {}))
    check_signature(service, x)
    if any(x.headers.get(name.lower()) != value for name, value in headers.items()):
        raise Refusal("forbidden", "SignatureDoesNotMatch: a signed header differs")
    if len(x.body) != size:
        raise Refusal("body", f"{len(x.body)} bytes came instead of {size}")
    service.uploads[x.match["id"]] = x.body
    return Answer(200)


def get(service, x):
    """Answer GET /files/{id}.{ext}, as strictly as signed storage does."""
    task = service.find(x, x.match["id"])
    check_signature(service, x)
    data, mime = task.picture(x.alter)
    return Answer(200, data, {"Content-Type": mime})


def check_signature(service, x):
    """Refuse a key beside the signature, and an address that was not kept byte for byte."""
    if service.key_headers & x.headers.keys():
        raise Refusal("body", "Only one auth mechanism allowed")
    if service.signed(x.path) != f"{service.files_url}{x.path}?{x.query}":
        raise Refusal("forbidden", "SignatureDoesNotMatch")
