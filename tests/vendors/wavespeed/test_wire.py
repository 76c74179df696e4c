"""What WaveSpeed's wire reads besides what is recorded, and how the vendor's clients read ours."""

import email
import json
from urllib.parse import urlsplit

import pytest

from tests.fakes import faults
from tests.remote.host import check_delivered
from tests.vendors.wavespeed.profile import PROFILES
from upscale_bridge.contract.http import Call, answer, post
from upscale_bridge.contract.server import Poll, ServedTask
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Source, Ticket
from upscale_bridge.errors import AuthError, BadReplyError, ProviderError, QuotaError
from upscale_bridge.images.pictures import Picture
from upscale_bridge.vendors import WaveSpeedUpscale, server_for
from upscale_bridge.vendors.wavespeed.uploads import WaveSpeedUploads

PROFILE, _ = PROFILES
WIRE, SERVER = WaveSpeedUpscale.wire, server_for("WaveSpeedUpscale")
URL = "https://example.com/a.png"


def read(**data):
    return WIRE.read_poll(answer({"code": 200, "data": data}))


def test_optional_parameters_are_said_when_they_are_set():
    creative = WaveSpeedUpscale(creativity=-1.5, model="wavespeed-ai/seedvr2/image")
    call = WIRE.submit(creative, Source("url", URL))
    assert json.loads(call.body)["creativity"] == -1.5
    assert call.url == "/api/v3/wavespeed-ai/seedvr2/image"


def test_it_is_asked_every_two_seconds_at_most():
    assert WaveSpeedUpscale.vendor.first_poll >= 2.0


@pytest.mark.parametrize("word", ["", "TASK_STATUS_RESTING", "done-ish", None, 7, [], {"a": 1}])
def test_unknown_words_mean_that_the_task_goes_on(word):
    assert read(status=word) == Running()


@pytest.mark.parametrize("word", ["completed", "Succeeded", "SUCCESS", "Done"])
def test_words_come_in_any_case(word):
    assert read(status=word, outputs=[URL]) == Done((Output(url=URL),))


@pytest.mark.parametrize("word", ["FAILED", "Error", "Cancelled", "canceled", "TIMEOUT", "deleted"])
def test_ends_come_in_any_case(word):
    assert read(status=word, error="why", code="1403") == Failed("why", "1403")


@pytest.mark.parametrize("word", ["created", "Queued", "PENDING"])
def test_waits_come_in_any_case(word):
    assert read(status=word) == Queued()


@pytest.mark.parametrize("word", ["failed", "timeout", "processing"])
def test_the_end_of_the_sync_mode_is_not_the_end_of_the_task(word):
    assert read(status=word, code=5004, error="Sync mode timed out.") == Running()
    reply = answer({"code": 200, "data": {"id": "a", "status": word, "code": "5004"}})
    assert WIRE.read_submit(reply) == Ticket("a")


def test_null_lists_are_empty():
    assert read(status="completed", outputs=None, has_nsfw_contents=None) == Done(())
    found = read(status="completed", outputs=[URL], has_nsfw_contents=None)
    assert found == Done((Output(url=URL),))


@pytest.mark.parametrize("item", [None, {}, {"url": None}, [], 5, False])
def test_null_outputs_are_no_pictures(item):
    done = read(status="completed", outputs=[item])
    assert all(output == Output() for output in done.outputs)


@pytest.mark.parametrize(
    "item", [{"url": URL}, {"download_url": URL}, {"url": "", "download_url": URL}]
)
def test_outputs_may_be_objects(item):
    assert read(status="completed", outputs=[item]) == Done((Output(url=URL),))


def test_flags_belong_to_their_outputs():
    done = read(status="completed", outputs=[URL, URL, URL], has_nsfw_contents=[False, True])
    assert [output.flagged for output in done.outputs] == [False, True, False]


@pytest.mark.parametrize("code", [200, "200", None, 201])
def test_codes_of_good_answers(code):
    assert WIRE.read_submit(answer({"code": code, "data": {"id": "a"}})) == Ticket("a")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, ProviderError),
        (401, AuthError),
        (402, QuotaError),
        (429, QuotaError),
        (500, BadReplyError),
    ],
)
def test_codes_inside_good_answers_count(code, error):
    reply = answer({"code": code, "message": "odd", "data": None})
    for read in (WIRE.read_submit, WIRE.read_poll):
        with pytest.raises(ProviderError, match="odd") as caught:
            read(reply)
        assert type(caught.value) is error


@pytest.mark.parametrize("code", [429, 500])
def test_codes_inside_good_answers_to_polls_are_waited_out(vendor, code):
    vendor.fake.faults["poll"].append(faults.answer(200, {"code": code, "message": "not now"}))
    check_delivered(vendor, "wavespeed")
    assert vendor.submits() == 1


# --- uploads

PICTURE = Picture(b"\x89PNG data", "image/png", 4, 3)


def check_request(call, kept):
    assert (call.method, call.url) == (kept["method"], kept["path"])
    assert dict(call.headers).keys() == kept["headers"].keys() - {"Authorization"}


def test_upload_ticket_is_asked_for_as_recorded():
    kept, call = PROFILE.recorded["ticket_request"], WaveSpeedUploads().ask(PICTURE)
    check_request(call, kept)
    body = json.loads(call.body)
    assert body == {"filename": "image.png", "size": 9, "content_type": "image/png"}
    assert body.keys() == kept["body"].keys()


def test_file_is_put_as_recorded_and_without_a_key():
    place = WaveSpeedUploads().read_place(PROFILE.reply("ticket_reply"), PICTURE)
    kept, parts = PROFILE.recorded["put_request"], urlsplit(place.call.url)
    assert (place.call.method, f"{parts.path}?{parts.query}") == (kept["method"], kept["path"])
    assert (dict(place.call.headers), place.call.body) == (kept["headers"], PICTURE.data)
    assert place.url == "https://storage.example.com/uploads/0a1b2c/picture.png"


def test_older_upload_is_a_form_as_recorded():
    kept, call = PROFILE.recorded["legacy_request"], WaveSpeedUploads().post(PICTURE)
    assert (call.method, call.url) == (kept["method"], kept["path"])
    kind = call.headers["Content-Type"].encode()
    form = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + call.body)
    (part,) = form.get_payload()
    assert part.get_param("name", header="content-disposition") == next(iter(kept["body"]))
    assert (part.get_filename(), part.get_content_type()) == ("image.png", "image/png")
    assert part.get_payload(decode=True) == PICTURE.data
    url = WaveSpeedUploads().read_posted(PROFILE.reply("legacy_reply"))
    assert url == "https://storage.example.com/uploads/0a1b2c/picture.png"


# --- the server's half


@pytest.mark.parametrize("root", ["/api/v3/", "/api/v2/"])
def test_missing_and_null_parameters_mean_the_vendors_defaults(root):
    for body in ({"image": URL}, {"image": URL, "output_format": None, "creativity": None}):
        path = f"{root}wavespeed-ai/image-upscaler?webhook=https://a.example"
        found = SERVER.read(post(path, body))
        assert found.operation == WaveSpeedUpscale(output_format="jpeg")
        assert found.source == Source("url", URL)


@pytest.mark.parametrize("path", ["/api/v3/predictions/a/result", "/api/v2/predictions/a"])
def test_it_is_polled_in_both_ways_and_versions(path):
    assert SERVER.read(Call("GET", path)) == Poll("a")


@pytest.mark.parametrize(
    "status", [Queued(), Running(), Running(0.1), Done((Output(URL),)), Done(()), Failed("why")]
)
def test_the_vendors_clients_can_read_every_state(status):
    body = SERVER.write_status(ServedTask("a b", {}, ""), status).json()
    data = body["data"]
    assert (body["code"], data["id"]) == (200, "a b")
    assert type(data["timings"]["inference"]) is int
    assert isinstance(data["error"], str)
    assert len(data["outputs"]) == len(data["has_nsfw_contents"])
    assert data["urls"]["get"].endswith(WIRE.poll("a b").url)
