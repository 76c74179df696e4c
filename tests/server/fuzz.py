"""Requests at random: right ones with something wrong in them, and noise."""

import http.client
import json

from hypothesis import strategies as st

from tests.server.sockless import SUBMITS, image, uri

SMALL = image(4, 4)
PATHS = [path for path, _ in SUBMITS.values()]
ROUTES = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/status",
    "/files/{}",
    "/uploads/{}",
    "/v3/async/task-result?task_id={}",
    "/v2/progress?task_id={}",
    "/api/v2/predictions/{}",
    "/api/v3/predictions/{}/result",
    "/api/v3/predictions/delete",
    "/api/v3/media/upload/binary",
    "/api/v3/media/upload/uploads",
    "/api/v3/webhook/secret",
    "/api/v3/{}",
    "/v1/{}",
    "/{}",
    *PATHS,
]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]
JSON = "application/json"
URL = "http://127.0.0.1/files/a.png"

_words = st.text(max_size=20)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _words
    | st.sampled_from(["2", "-1", "1e999", "NaN", "4k", "png", uri(SMALL), URL]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=8,
)
_path_part = st.text(
    st.sampled_from("abcXYZ019-_.~/%?&=#+ "), min_size=1, max_size=40
) | st.sampled_from(["../../etc/passwd", "%2e%2e%2fkeys.json", "%00", "..%5c", "a" * 3000])
_header_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "authorization": _header_text | st.just("Bearer "),
        "x-photio-key": _header_text,
        "content-type": st.just(JSON)
        | _header_text
        | st.sampled_from(["multipart/form-data", "text/plain"]),
        "origin": st.sampled_from(["null", "https://evil.example", "http://127.0.0.1", "\\"]),
        "idempotency-key": _header_text | st.sampled_from(["one", "two"]),
        "x-forwarded-for": _header_text,
        "range": _header_text,
    },
)


@st.composite
def _bent(draw):
    """A right body with one to three of its fields gone, replaced or added."""
    _, make = SUBMITS[draw(st.sampled_from(sorted(SUBMITS)))]
    body = make(SMALL)
    for _ in range(draw(st.integers(1, 3))):
        inner = [found for found in (body, *body.values()) if isinstance(found, dict) and found]
        part = draw(st.sampled_from(inner)) if inner else body
        name = draw(st.sampled_from(sorted(part)) if part else _words)
        match draw(st.sampled_from(["gone", "replaced", "added"])):
            case "gone":
                part.pop(name, None)
            case "replaced":
                part[name] = draw(_json)
            case "added":
                part[draw(_words | st.sampled_from(["webhook", "seed", "extra"]))] = draw(_json)
    return body


_bodies = (
    st.just(b"")
    | st.binary(max_size=200)
    | (_json | _bent() | st.just({"ids": ["a", 1]})).map(lambda found: json.dumps(found).encode())
    | st.integers(0, 80).map(lambda cut: json.dumps(SUBMITS["wavespeed"][1](SMALL))[:cut].encode())
    | st.just(b"[" * 100_000)
    | st.just(SMALL)
)


@st.composite
def requests(draw):
    """Return (method, target, headers, body) of a request that may mean nothing at all."""
    target = draw(st.sampled_from(ROUTES)).replace("{}", draw(_path_part))
    target = target.replace(" ", "%20")
    if draw(st.booleans()):
        target += "?" + draw(_path_part).replace(" ", "+")
    return draw(st.sampled_from(METHODS)), target, draw(_headers), draw(_bodies)


@st.composite
def submits(draw, paths=PATHS):
    """Return a request that one of the APIs may take, with a bent body."""
    path = draw(st.sampled_from(paths))
    body = json.dumps(draw(_bent())).encode()
    return "POST", path, {"authorization": "Bearer any", "content-type": JSON}, body


def send(port, request, seconds=60):
    """Send a request and return status, headers and body of the answer."""
    method, target, headers, body = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, target, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()
