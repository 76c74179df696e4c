"""Answers that differ from the documents but can be understood."""

import json

import pytest

from upscale_bridge.contract.http import Reply, answer
from upscale_bridge.contract.reading import listed, read_base64, table, whole
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Ticket
from upscale_bridge.errors import BadReplyError
from upscale_bridge.vendors.novita.upscale import NovitaUpscale
from upscale_bridge.vendors.novita.v2 import NovitaUpscaleV2
from upscale_bridge.vendors.photio import PhotioUpscale
from upscale_bridge.vendors.wavespeed.upscale import WaveSpeedUpscale

URL = "https://example.com/a.png"


def novita(**task):
    images = task.pop("images", [])
    return NovitaUpscale.wire.read_poll(answer({"task": task, "images": images}))


def v2(**data):
    return NovitaUpscaleV2.wire.read_poll(answer({"code": 0, "msg": "", "data": data}))


def wavespeed(**data):
    return WaveSpeedUpscale.wire.read_poll(answer({"code": 200, "data": data}))


@pytest.mark.parametrize("word", ["", "TASK_STATUS_RESTING", "done-ish", None, 7, [], {"a": 1}])
def test_unknown_words_mean_that_the_task_goes_on(word):
    assert novita(status=word) == Running()
    assert wavespeed(status=word) == Running()


@pytest.mark.parametrize("number", ["", "5", 99, -1, None, "soon", 1.0])
def test_unknown_numbers_mean_that_the_task_goes_on(number):
    assert v2(status=number) == Running()


@pytest.mark.parametrize("word", ["completed", "Succeeded", "SUCCESS", "Done"])
def test_wavespeed_words_come_in_any_case(word):
    assert wavespeed(status=word, outputs=[URL]) == Done((Output(url=URL),))


@pytest.mark.parametrize("word", ["FAILED", "Error", "Cancelled", "canceled", "TIMEOUT", "deleted"])
def test_wavespeed_ends_come_in_any_case(word):
    assert wavespeed(status=word, error="why", code="1403") == Failed("why", "1403")


@pytest.mark.parametrize("word", ["created", "Queued", "PENDING"])
def test_wavespeed_waits_come_in_any_case(word):
    assert wavespeed(status=word) == Queued()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("task_status_succeed", Done(())),
        ("SUCCEEDED", Done(())),
        ("task_status_failed", Failed("no reason given")),
        ("Task_Status_Queued", Queued()),
    ],
)
def test_novita_words_come_in_any_case(word, expected):
    assert novita(status=word) == expected


@pytest.mark.parametrize("word", ["failed", "timeout", "processing"])
def test_end_of_wavespeeds_sync_mode_is_not_the_end_of_the_task(word):
    assert wavespeed(status=word, code=5004, error="Sync mode timed out.") == Running()
    reply = answer({"code": 200, "data": {"id": "a", "status": word, "code": "5004"}})
    assert WaveSpeedUpscale.wire.read_submit(reply) == Ticket("a")


def test_null_lists_are_empty():
    assert novita(status="TASK_STATUS_SUCCEED", images=None) == Done(())
    assert v2(status=2, imgs=None) == Done(())
    assert wavespeed(status="completed", outputs=None, has_nsfw_contents=None) == Done(())
    assert wavespeed(status="completed", outputs=[URL], has_nsfw_contents=None) == Done(
        (Output(url=URL),)
    )


@pytest.mark.parametrize("item", [None, {}, {"url": None}, [], 5, False])
def test_null_outputs_are_no_pictures(item):
    done = wavespeed(status="completed", outputs=[item])
    assert all(output == Output() for output in done.outputs)


@pytest.mark.parametrize(
    "item", [{"url": URL}, {"download_url": URL}, {"url": "", "download_url": URL}]
)
def test_outputs_may_be_objects(item):
    assert wavespeed(status="completed", outputs=[item]) == Done((Output(url=URL),))


def test_flags_belong_to_their_outputs():
    done = wavespeed(status="completed", outputs=[URL, URL, URL], has_nsfw_contents=[False, True])
    assert [output.flagged for output in done.outputs] == [False, True, False]


@pytest.mark.parametrize(
    ("found", "flagged"), [(None, False), (True, True), ({"valid": True, "confidence": 1}, True)]
)
def test_novita_flags_are_read(found, flagged):
    image = {"image_url": URL, "nsfw_detection_result": found}
    assert novita(status="TASK_STATUS_SUCCEED", images=[image]) == Done(
        (Output(url=URL, flagged=flagged),)
    )


@pytest.mark.parametrize(
    ("percent", "share"),
    [("42", 0.42), (42.9, 0.42), (0, None), (-3, None), (250, 1.0), (None, None), ("1e999", None)],
)
def test_novita_percent_is_read_in_every_form(percent, share):
    assert novita(status="TASK_STATUS_PROCESSING", progress_percent=percent) == Running(share)


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


@pytest.mark.parametrize("code", [200, "200", None, 201])
def test_wavespeed_codes_of_good_answers(code):
    reply = answer({"code": code, "data": {"id": "a"}})
    assert WaveSpeedUpscale.wire.read_submit(reply) == Ticket("a")


@pytest.mark.parametrize(
    "text", ["iVBORw0K", "data:image/png;base64,iVBORw0K", "iVBO\r\nRw0K\n", " iVBORw0K "]
)
def test_base64_is_read_with_and_without_a_head(text):
    assert read_base64(text) == b"\x89PNG\r\n"
    reply = answer({"status_code": "200", "body": text})
    assert PhotioUpscale.wire.read_submit(reply) == Done((Output(data=b"\x89PNG\r\n"),))


@pytest.mark.parametrize("text", ["iVBORw0", "a b c!", "ü", "data:image/png;base64,é", "iVBO-_=="])
def test_base64_that_is_none_is_refused(text):
    with pytest.raises(BadReplyError):
        read_base64(text)


def test_last_of_equal_names_counts():
    reply = Reply(200, b'{"task_id": "wrong", "task_id": "right"}')
    assert NovitaUpscale.wire.read_submit(reply) == Ticket("right")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3600", 3600), (3.9, 3), (None, 9), ("", 9), ("nan", 9), ("inf", 9), ([], 9), ("-2", -2)],
)
def test_whole_numbers_are_read(value, expected):
    assert whole(value, 9) == expected


def test_lists_and_tables_are_what_they_should_be():
    assert (listed(None), listed("ab"), listed([1])) == ([], [], [1])
    assert (table(None), table([1]), table({"a": 1})) == ({}, {}, {"a": 1})


def test_images_are_not_shown():
    for shown in (Output(URL, b"secret"), answer({"image": "secret"}), Output(url=URL + "?sig=x")):
        assert "secret" not in repr(shown)
        assert "sig" not in repr(shown)
    assert json.loads(answer({"a": 1}).body) == {"a": 1}
