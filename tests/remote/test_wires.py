"""The client's half of each wire, against the recorded exchanges."""

import email
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from upscale_bridge.contract.http import Reply
from upscale_bridge.contract.reading import read_base64
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Source, Ticket
from upscale_bridge.errors import BadReplyError
from upscale_bridge.images.pictures import Picture
from upscale_bridge.vendors.novita.resolution import NovitaUpscaleToResolution
from upscale_bridge.vendors.novita.upscale import NovitaUpscale
from upscale_bridge.vendors.novita.v2 import NovitaUpscaleV2
from upscale_bridge.vendors.photio import PhotioUpscale
from upscale_bridge.vendors.wavespeed.uploads import WaveSpeedUploads
from upscale_bridge.vendors.wavespeed.upscale import WaveSpeedUpscale

KINDS = {
    "novita": NovitaUpscale,
    "novita_v2": NovitaUpscaleV2,
    "photio": PhotioUpscale,
    "wavespeed": WaveSpeedUpscale,
}
DATA = Path(__file__).parents[1] / "data"
V2 = NovitaUpscaleV2(
    resize_mode="to size",
    upscaler_2="R-ESRGAN 4x+",
    extras_upscaler_2_visibility=0.5,
    gfpgan_visibility=0.5,
    codeformer_visibility=0.5,
    codeformer_weight=0.5,
)
NOVITA_ID = "71dd988e-632e-4339-b217-74bcbe6db0ee"
WAVESPEED_ID = "4c5e2f8a9b3d4e61a7c0d2f1e8b96a35"
V2_ID = "5f1c9d1e-6b59-4c0b-9a3e-1f6d0e6c2a77"
WAVESPEED_URL = f"https://example.com/results/{WAVESPEED_ID}/1.jpeg"
ENLARGED = read_base64(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAH0lEQVR42mNkYIjSYGBAQ/wMDCwMNgxYAVUl+LFLAAAV"
    "ngJu3Zs2iQAAAABJRU5ErkJggg=="
)


def recorded(name):
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def reply_of(name):
    kept = recorded(name)
    return Reply(kept["status"], json.dumps(kept["body"]).encode())


# --- the client's half, as recorded


@pytest.mark.parametrize(
    ("name", "operation", "kind", "more", "less"),
    [
        ("novita/upscale", NovitaUpscale(response_image_type="jpeg"), "base64", (), ()),
        (
            "novita/image_upscaler",
            NovitaUpscaleToResolution(output_format="jpeg"),
            "url",
            (),
            (),
        ),
        ("novita_v2/upscale", V2, "base64", (), ()),
        (
            # The example leaves everything to the document's defaults; we say them.
            "photio/upscale",
            PhotioUpscale(),
            "url",
            ("upscale_by", "prompt", "negative_prompt", "quality", "denoising_strength"),
            (),
        ),
        # A creativity of 0 says nothing, and newer versions of the contract know no such field.
        (
            "wavespeed/submit",
            WaveSpeedUpscale(output_format="jpeg"),
            "url",
            (),
            ("creativity",),
        ),
    ],
)
def test_submit_is_the_recorded_request(name, operation, kind, more, less):
    kept = recorded(f"{name}_request")
    image = kept["body"].get("image") or kept["body"]["request"]["image_base64"]
    call = operation.wire.submit(operation, Source(kind, image))
    assert (call.method, call.url) == (kept["method"], kept["path"])
    check_headers(operation, call, kept)
    said = json.loads(call.body)
    assert {key: value for key, value in said.items() if key not in more} == {
        key: value for key, value in kept["body"].items() if key not in less
    }
    assert set(more) <= said.keys()


@pytest.mark.parametrize(
    ("name", "operation", "kind"),
    [
        ("photio/upscale_request_full", PhotioUpscale(), "base64"),
        ("wavespeed/submit_request_now", WaveSpeedUpscale(output_format="jpeg"), "url"),
        (
            "wavespeed/submit_request_sync",
            WaveSpeedUpscale(enable_base64_output=True, enable_sync_mode=True),
            "url",
        ),
    ],
)
def test_submit_says_exactly_what_is_recorded(name, operation, kind):
    kept = recorded(name)
    call = operation.wire.submit(operation, Source(kind, kept["body"]["image"]))
    assert (call.method, call.url, json.loads(call.body)) == ("POST", kept["path"], kept["body"])
    check_headers(operation, call, kept)


def check_headers(operation, call, kept):
    """Compare with the recorded headers; that of the key is added where the call is sent."""
    provider, headers = operation.vendor, dict(kept["headers"])
    assert headers.pop(provider.auth_header).startswith(provider.auth_scheme)
    assert dict(call.headers) == headers


def test_optional_parameters_are_said_when_they_are_set():
    checked = NovitaUpscale(enable_nsfw_detection=True)
    body = json.loads(checked.wire.submit(checked, Source("base64", "AAAA")).body)
    assert body["extra"] == {"response_image_type": "png", "enable_nsfw_detection": True}
    creative = WaveSpeedUpscale(creativity=-1.5, model="wavespeed-ai/seedvr2/image")
    call = creative.wire.submit(creative, Source("url", "https://example.com/a.png"))
    assert json.loads(call.body)["creativity"] == -1.5
    assert call.url == "/api/v3/wavespeed-ai/seedvr2/image"


@pytest.mark.parametrize(
    ("name", "kind", "ticket"),
    [
        ("novita/task_result_request", NovitaUpscale, NOVITA_ID),
        ("novita/task_result_request", NovitaUpscaleToResolution, NOVITA_ID),
        ("novita_v2/progress_request", NovitaUpscaleV2, V2_ID),
        ("wavespeed/result_request", WaveSpeedUpscale, WAVESPEED_ID),
    ],
)
def test_poll_is_the_recorded_request(name, kind, ticket):
    kept = recorded(name)
    call = kind.wire.poll(ticket)
    assert (call.method, call.url, call.body) == (kept["method"], kept["path"], b"")
    check_headers(kind, call, kept)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("novita/upscale_reply", NovitaUpscale, Ticket(NOVITA_ID)),
        ("novita/image_upscaler_reply", NovitaUpscaleToResolution, Ticket(NOVITA_ID)),
        ("novita_v2/upscale_reply", NovitaUpscaleV2, Ticket(V2_ID)),
        ("photio/upscale_reply", PhotioUpscale, Done((Output(data=ENLARGED),))),
        ("photio/upscale_reply_data_uri", PhotioUpscale, Done((Output(data=ENLARGED),))),
        ("wavespeed/submit_reply", WaveSpeedUpscale, Ticket(WAVESPEED_ID)),
        (
            "wavespeed/submit_reply_sync",
            WaveSpeedUpscale,
            Done((Output(data=ENLARGED),), WAVESPEED_ID),
        ),
        ("wavespeed/submit_reply_sync_timed_out", WaveSpeedUpscale, Ticket(WAVESPEED_ID)),
    ],
)
def test_recorded_submit_replies_are_read(name, kind, expected):
    assert kind.wire.read_submit(reply_of(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("novita/task_result_queued", Queued()),
        ("novita/task_result_processing", Running(0.42)),
        ("novita/task_result_unknown", Running()),
        ("novita/task_result_failed", Failed("failed to upscale the image")),
        ("novita_v2/progress_init", Queued()),
        # The one number that a document shows is 1, of a task that is done: it is a share of 1.
        ("novita_v2/progress_running", Running(0.42)),
        ("novita_v2/progress_failed", Failed("failed to upscale the image")),
        ("novita_v2/progress_timeout", Failed("timeout")),
        ("novita_v2/progress_succeed", f"https://example.com/results/{V2_ID}-0.png"),
        ("wavespeed/result_created", Queued()),
        ("wavespeed/result_processing", Running()),
        ("wavespeed/submit_reply_sync_timed_out", Running()),
        ("wavespeed/result_completed", WAVESPEED_URL),
        ("wavespeed/result_completed_object", WAVESPEED_URL),
        ("wavespeed/result_completed_base64", Done((Output(data=ENLARGED),))),
        ("wavespeed/result_cancelled", Failed("The task is cancelled.")),
        ("wavespeed/result_deleted", Failed("The task is deleted.")),
        ("wavespeed/result_timeout", Failed("The task timed out.")),
        ("wavespeed/result_failed", Failed("The task could not be completed.", "1403")),
        ("wavespeed/result_failed_media", Failed("Unable to access the media URL.", "1402")),
        ("wavespeed/result_failed_moderation", Failed("The content is sensitive.", "1200")),
    ],
)
def test_recorded_states_are_read(name, expected):
    wire = KINDS[name.partition("/")[0]].wire
    if isinstance(expected, str):
        expected = Done((Output(url=expected),))
    assert wire.read_poll(reply_of(name)) == expected


def test_signed_address_is_read_byte_for_byte():
    kept = recorded("novita/task_result_succeed")["body"]["images"][0]["image_url"]
    status = NovitaUpscale.wire.read_poll(reply_of("novita/task_result_succeed"))
    assert status == Done((Output(url=kept),))
    assert "%2F" in status.outputs[0].url


def test_accepted_submit_without_an_id_is_in_doubt():
    for wire in (NovitaUpscale.wire, NovitaUpscaleV2.wire, WaveSpeedUpscale.wire):
        with pytest.raises(BadReplyError, match="names no"):
            wire.read_submit(reply_of("novita_v2/upscale_reply_empty"))


# --- uploads

PICTURE = Picture(b"\x89PNG data", "image/png", 4, 3)


def test_upload_ticket_is_asked_for_as_recorded():
    kept = recorded("wavespeed/ticket_request")
    call = WaveSpeedUploads().ask(PICTURE)
    assert (call.method, call.url) == (kept["method"], kept["path"])
    check_headers(WaveSpeedUpscale, call, kept)
    body = json.loads(call.body)
    assert body == {"filename": "image.png", "size": 9, "content_type": "image/png"}
    assert body.keys() == kept["body"].keys()


def test_file_is_put_as_recorded_and_without_a_key():
    place = WaveSpeedUploads().read_place(reply_of("wavespeed/ticket_reply"), PICTURE)
    kept = recorded("wavespeed/put_request")
    parts = urlsplit(place.call.url)
    assert (place.call.method, f"{parts.path}?{parts.query}") == (kept["method"], kept["path"])
    assert (dict(place.call.headers), place.call.body) == (kept["headers"], PICTURE.data)
    assert place.url == "https://storage.example.com/uploads/0a1b2c/picture.png"


def test_older_upload_is_a_form_as_recorded():
    kept = recorded("wavespeed/legacy_request")
    call = WaveSpeedUploads().post(PICTURE)
    assert (call.method, call.url) == (kept["method"], kept["path"])
    kind = call.headers["Content-Type"].encode()
    form = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + call.body)
    (part,) = form.get_payload()
    assert part.get_param("name", header="content-disposition") == next(iter(kept["body"]))
    assert part.get_filename() == "image.png"
    assert part.get_content_type() == "image/png"
    assert part.get_payload(decode=True) == PICTURE.data


def test_older_upload_is_answered_with_an_address():
    url = WaveSpeedUploads().read_posted(reply_of("wavespeed/legacy_reply"))
    assert url == "https://storage.example.com/uploads/0a1b2c/picture.png"
