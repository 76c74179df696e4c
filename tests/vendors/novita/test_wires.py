"""What Novita's wires read besides what is recorded, and how the vendor's clients read ours."""

import json

import pytest

from tests.vendors.novita.profile import PROFILES
from upscale_bridge.contract.http import Reply, answer, post
from upscale_bridge.contract.server import ServedTask
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Source, Ticket
from upscale_bridge.errors import BadReplyError, ProviderError
from upscale_bridge.vendors import (
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    server_for,
)

URL = "https://example.com/a%2Fb/picture.png?X-Amz-Signature=a%3D~"
V3_SERVER, V2_SERVER = server_for("NovitaUpscale"), server_for("NovitaUpscaleV2")
EVERY = pytest.mark.parametrize(
    "status", [Queued(), Running(), Running(0.123), Done((Output(URL),)), Done(()), Failed("why")]
)


def v3(**task):
    images = task.pop("images", [])
    return NovitaUpscale.wire.read_poll(answer({"task": task, "images": images}))


def v2(**data):
    return NovitaUpscaleV2.wire.read_poll(answer({"code": 0, "msg": "", "data": data}))


def test_optional_parameters_are_said_when_they_are_set():
    checked = NovitaUpscale(enable_nsfw_detection=True)
    body = json.loads(checked.wire.submit(checked, Source("base64", "AAAA")).body)
    assert body["extra"] == {"response_image_type": "png", "enable_nsfw_detection": True}


def test_retirements_name_their_dates():
    assert "2026-07-22" in NovitaUpscale.retirement
    assert "2026-08-19" in NovitaUpscaleToResolution.retirement


# --- version 3


@pytest.mark.parametrize("word", ["", "TASK_STATUS_RESTING", "done-ish", None, 7, [], {"a": 1}])
def test_unknown_words_mean_that_the_task_goes_on(word):
    assert v3(status=word) == Running()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("task_status_succeed", Done(())),
        ("SUCCEEDED", Done(())),
        ("SUCCESS", Done(())),
        ("task_status_failed", Failed("no reason given")),
        ("Task_Status_Queued", Queued()),
    ],
)
def test_words_come_in_any_case(word, expected):
    assert v3(status=word) == expected


def test_null_lists_are_empty():
    assert v3(status="TASK_STATUS_SUCCEED", images=None) == Done(())
    assert v2(status=2, imgs=None) == Done(())


@pytest.mark.parametrize(
    ("found", "flagged"), [(None, False), (True, True), ({"valid": True, "confidence": 1}, True)]
)
def test_flags_are_read(found, flagged):
    image = {"image_url": URL, "nsfw_detection_result": found}
    done = Done((Output(url=URL, flagged=flagged),))
    assert v3(status="TASK_STATUS_SUCCEED", images=[image]) == done


@pytest.mark.parametrize(
    ("percent", "share"),
    [("42", 0.42), (42.9, 0.42), (0, None), (-3, None), (250, 1.0), (None, None), ("1e999", None)],
)
def test_percent_is_read_in_every_form(percent, share):
    assert v3(status="TASK_STATUS_PROCESSING", progress_percent=percent) == Running(share)


def test_last_of_equal_names_counts():
    reply = Reply(200, b'{"task_id": "wrong", "task_id": "right"}')
    assert NovitaUpscale.wire.read_submit(reply) == Ticket("right")


@pytest.mark.parametrize("more", [{}, {"resolution": None, "output_format": None}])
def test_missing_and_null_parameters_mean_the_vendors_defaults(more):
    path = "/v3/async/image-upscaler?webhook=https://a.example"
    found = V3_SERVER.read(post(path, {"image": URL, **more}))
    assert found.operation == NovitaUpscaleToResolution(output_format="jpeg")
    assert found.source == Source("url", URL)


@EVERY
def test_the_vendors_clients_can_read_every_state(status):
    body = V3_SERVER.write_status(ServedTask("a", {}, ""), status).json()
    assert isinstance(body["extra"], dict)
    assert isinstance(body["images"], list)
    assert body["videos"] == []
    assert body["task"]["task_id"] == "a"
    words = {"QUEUED", "PROCESSING", "SUCCEED", "FAILED"}
    assert body["task"]["status"].removeprefix("TASK_STATUS_") in words
    assert {type(body["task"][name]) for name in ("eta", "progress_percent")} == {int}
    assert body["task"]["reason"] is not None
    for image in body["images"]:
        found = image["image_url"], image["image_type"], image["image_url_ttl"]
        assert found == (URL, "png", "3600")


def test_image_type_is_never_an_address():
    done = Done((Output(url="https://example.com/files/abc?x=a.png"),))
    (image,) = V3_SERVER.write_status(ServedTask("a", {}, ""), done).json()["images"]
    assert image["image_type"] in ("", "png")


def test_keys_are_refused_with_the_vendors_own_name_and_status():
    reply = V3_SERVER.write_error(401, "no")
    body = reply.json()
    assert (reply.status, body["reason"], body["metadata"]) == (403, "INVALID_API_KEY", {})


# --- version 2


def test_the_documents_answer_without_an_id_is_in_doubt():
    v2 = next(one for one in PROFILES if one.operation is NovitaUpscaleV2)
    with pytest.raises(BadReplyError, match="names no"):
        NovitaUpscaleV2.wire.read_submit(v2.reply("upscale_reply_empty"))


@pytest.mark.parametrize("number", ["", "5", 99, -1, None, "soon", 1.0])
def test_unknown_numbers_mean_that_the_task_goes_on(number):
    assert v2(status=number) == Running()


@pytest.mark.parametrize(
    ("number", "status"), [("0", Queued()), ("2", Done(())), (3.0, Failed("no reason given"))]
)
def test_v2_numbers_may_be_texts(number, status):
    assert v2(status=number) == status


@pytest.mark.parametrize("progress", ["nan", "inf", "-inf", "soon", None, -1])
def test_v2_progress_without_sense_is_none(progress):
    found = v2(status=1, progress=progress).fraction
    assert found is None or 0 <= found <= 1


@pytest.mark.parametrize("code", ["0", 0, None, "", 0.0])
def test_v2_codes_of_good_answers(code):
    reply = answer({"code": code, "data": {"task_id": "a"}})
    assert NovitaUpscaleV2.wire.read_submit(reply) == Ticket("a")


@pytest.mark.parametrize(
    ("code", "error"),
    [(8, ProviderError), (10, ProviderError), (-1, BadReplyError), (9, BadReplyError)],
)
def test_v2_codes_inside_good_answers_count(code, error):
    reply = answer({"code": code, "msg": "odd"})
    for read in (NovitaUpscaleV2.wire.read_submit, NovitaUpscaleV2.wire.read_poll):
        with pytest.raises(ProviderError, match="odd") as caught:
            read(reply)
        assert type(caught.value) is error


@EVERY
def test_the_vendors_v2_clients_can_read_every_state(status):
    body = V2_SERVER.write_status(ServedTask("a", {}, ""), status).json()
    data = body["data"]
    assert (body["code"], body["msg"]) == (0, "")
    assert {type(data[name]) for name in ("status", "progress", "eta_relative")} == {int}
    assert isinstance(data["imgs"], list)
    assert isinstance(data["current_images"], list)  # the recorded replies never have null
    assert data["failed_reason"] is not None


def test_v2_refuses_in_the_envelope_of_a_good_answer():
    reply = V2_SERVER.write_error(402, "no")
    assert (reply.status, reply.json()["code"]) == (200, 7)
