"""Bodies, values and images that are refused, each in the vendor's own envelope."""

import io
import struct
import zlib
from hashlib import sha256

import pytest
from PIL import Image

from tests.server.sockless import (
    PHOTIO,
    SUBMITS,
    TO_2K,
    V2,
    V3,
    WAVESPEED,
    check,
    image,
    novita,
    photio,
    refusal,
    text,
    uri,
    v2,
    wavespeed,
)
from upscale_bridge.contract.http import Reply
from upscale_bridge.server.replies import Wait

# --- bodies


@pytest.mark.parametrize("command", SUBMITS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"3",
        b'"x"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
    ],
    ids=lambda body: body[:4].decode("latin-1"),
)
def test_body_that_is_no_object(server, command, body):
    check(command, 400, server.post(SUBMITS[command][0], body))


def test_delete_of_texts_that_are_no_unicode(server):
    for wrong in (rb'"\ud800"', b'"\xed\xa0\x80"', rb'{"\udfff": 1}'):
        reply = server.post("/api/v3/predictions/delete", b'{"ids": [' + wrong + b"]}")
        assert refusal(reply)[:2] == (400, 400)
    reply = server.post("/api/v3/predictions/delete", rb'{"ids": ["\u0000", {}, [[]]]}')
    assert reply.status == 200


ODD = ["\0", "../../etc/passwd", "a" * 10_000, "\ud800", "C:\\x", "*", 5, [], {}, True]


@pytest.mark.parametrize("model", ODD, ids=lambda model: repr(model)[:20])
def test_unknown_model(server, model):
    check("novita", 400, server.post(V3, novita(model=model)))
    message = check("novita-v2", 400, server.post(V2, v2(upscaler_1=model)))
    assert len(message) < 1000
    check("novita-v2", 400, server.post(V2, v2(upscaler_2=model, extras_upscaler_2_visibility=1)))


def test_known_model_that_is_not_here_is_named_with_the_way_to_get_it(server):
    message = check("novita", 400, server.post(V3, novita(model="RealESRNet_x4plus")))
    assert "models download RealESRNet_x4plus" in message
    message = check("novita-v2", 400, server.post(V2, v2(upscaler_1="R-ESRGAN 4x+")))
    assert "RealESRGAN_x4plus" in message


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("gfpgan_visibility", "YuNet is not on this server yet; its owner can fetch it"),
        ("codeformer_visibility", "cannot restore faces: CodeFormer needs the package"),
    ],
)
def test_what_faces_need_is_named(server, name, missing):
    assert missing in check("novita-v2", 400, server.post(V2, v2(**{name: 0.5})))
    assert server.post(V2, v2(**{name: 0})).json()["code"] == 0


@pytest.mark.parametrize(
    "factor", [1, 4.01, 0, -2, "x", "", None, [], "nan", float("nan"), 1e999, True]
)
def test_factor_out_of_range(server, factor):
    check("novita", 400, server.post(V3, novita(factor=factor)))


@pytest.mark.parametrize(
    ("path", "command", "fields"),
    [
        (V2, "novita-v2", {"img_expire_ttl": 604_801}),
        (V2, "novita-v2", {"img_expire_ttl": -1}),
        (V2, "novita-v2", {"upscaling_resize": 9}),
        (V2, "novita-v2", {"resize_mode": 1, "upscaling_resize_w": 2049}),
        (WAVESPEED, "wavespeed", {"target_resolution": "16k"}),
        (WAVESPEED, "wavespeed", {"output_format": "gif"}),
        (WAVESPEED, "wavespeed", {"creativity": 3}),
        (WAVESPEED, "wavespeed", {"enable_sync_mode": "yes"}),
        (PHOTIO, "photio", {"upscale_by": 3}),
        (PHOTIO, "photio", {"quality": "BEST"}),
        (TO_2K, "novita-resolution", {"resolution": "1k"}),
    ],
)
def test_value_out_of_range(server, path, command, fields):
    base = {V2: v2, WAVESPEED: wavespeed, PHOTIO: photio, TO_2K: wavespeed}[path]()
    message = check(command, 400, server.post(path, {**base, **fields}))
    assert any(name in message for name in fields)


# --- images


def bomb(width=60_000, height=60_000):
    """Return a PNG whose head promises far more pixels than fit."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def animated(format):
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


BAD = {
    "no image": b"This is a text.",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "gif": image(format="gif"),
    "bomb": bomb(),
    "huge bomb": bomb(2**31 - 1, 2**31 - 1),
    "animated": animated("gif"),
    "animated png": animated("png"),
    "pages": animated("tiff"),
}


@pytest.mark.parametrize("command", SUBMITS)
@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_image(server, command, data):
    path, body = SUBMITS[command]
    assert "image" in check(command, 400, server.post(path, body(data)))
    assert server.files.size() == 0
    assert server.queue.counts()["queued"] == 0


@pytest.mark.parametrize("command", SUBMITS)
@pytest.mark.parametrize(
    "data", [image(64, 64)[:-40], image(64, 64, format="jpeg")[:-200]], ids=["png", "jpeg"]
)
def test_image_that_is_cut_off_fails_with_its_reason(server, command, data):
    """The listener looks at heads only; pixels are the worker's affair."""
    path, body = SUBMITS[command]
    assert isinstance(server.post(path, body(data)), Reply | Wait)
    (job,) = server.queue.latest("anyone-" + sha256(b"sk-anna").hexdigest()[:8], 1)
    assert server.work() == 1
    assert "damaged or cut off" in server.queue.get(job.id).reason


@pytest.mark.parametrize("command", SUBMITS)
@pytest.mark.parametrize(
    "value", [None, "", 5, [], {}, "%%%", "é", "====", "data:", "data:image/png;base64,@"]
)
def test_image_that_is_no_base64(server, command, value):
    path, body = SUBMITS[command]
    check(command, 400, server.post(path, without_image(body(), value)))


def without_image(body, value):
    """Return a submit with `value` in place of its image, the only long text."""
    if isinstance(body, dict):
        return {name: without_image(inner, value) for name, inner in body.items()}
    return value if isinstance(body, str) and len(body) > 99 else body


ODD_URLS = ("file:///etc/passwd", "ftp://x/y", "/etc/passwd", "javascript:x")


@pytest.mark.parametrize(
    ("command", "path", "body"),
    [
        ("wavespeed", WAVESPEED, wavespeed()),
        ("novita-resolution", TO_2K, {"resolution": "2k"}),
        ("photio", PHOTIO, photio()),
    ],
)
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "https://example.com/a.png", *ODD_URLS]
)
def test_address_is_not_fetched(server, command, path, body, url):
    message = check(command, 400, server.post(path, {**body, "image": url}))
    assert url in ODD_URLS or "fetches no addresses" in message


def test_result_beyond_all_bounds(server):
    large = image(2400, 2400, "L")
    assert "million" in check("novita", 400, server.post(V3, novita(large, 4)))
    assert "million" in check("photio", 400, server.post(PHOTIO, photio(large, upscale_by=4)))
    assert text(b"") == uri(b"").partition(",")[2]
