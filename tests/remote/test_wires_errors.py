"""Refusals of each wire: recorded ones, and those that the server's half writes."""

import json
from pathlib import Path

import pytest

from upscale_bridge.contract.http import Reply, answer
from upscale_bridge.errors import AuthError, BadReplyError, ProviderError, QuotaError
from upscale_bridge.vendors import OPERATIONS, server_for
from upscale_bridge.vendors.novita.upscale import NovitaUpscale
from upscale_bridge.vendors.novita.v2 import NovitaUpscaleV2
from upscale_bridge.vendors.photio import PhotioUpscale
from upscale_bridge.vendors.wavespeed.upscale import WaveSpeedUpscale

KINDS = {
    "novita": NovitaUpscale,
    "novita_v2": NovitaUpscaleV2,
    "photio": PhotioUpscale,
    "wavespeed": WaveSpeedUpscale,
}
DATA = Path(__file__).parents[1] / "data"


def recorded(name):
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def reply_of(name):
    kept = recorded(name)
    return Reply(kept["status"], json.dumps(kept["body"]).encode())


def refused(kind, reply):
    with pytest.raises(ProviderError) as caught:
        kind.wire.read_submit(reply)
    return caught.value


NO_TASK, INVALID = (ProviderError, 404), (ProviderError, 400)
ERRORS = {
    "novita/error_api_not_allowed": (AuthError, 403),
    "novita/error_api_not_found": NO_TASK,
    "novita/error_billing_balance_not_enough": (QuotaError, 400),
    "novita/error_create_task_failed": (BadReplyError, 500),
    "novita/error_get_result_failed": (BadReplyError, 500),
    "novita/error_illegal_image_content": INVALID,
    "novita/error_image_exceeds_max_resolution": INVALID,
    "novita/error_image_file_exceeds_max_size": INVALID,
    "novita/error_invalid_api_key": (AuthError, 403),
    "novita/error_invalid_image_format": INVALID,
    "novita/error_invalid_request_body": INVALID,
    "novita/error_missing_api_key": (AuthError, 400),
    "novita/error_rate_limit_exceeded": (QuotaError, 429),
    "novita/error_task_not_found": NO_TASK,
    "novita_v2/error_auth": (AuthError, None),
    "novita_v2/error_balance": (QuotaError, 402),
    "novita_v2/error_host": (BadReplyError, 500),
    "novita_v2/error_internal": (BadReplyError, 500),
    "novita_v2/error_invalid_json": INVALID,
    "novita_v2/error_model": INVALID,
    "novita_v2/error_not_supported": INVALID,
    "novita_v2/error_range": INVALID,
    "novita_v2/error_sampler": INVALID,
    "novita_v2/error_task": NO_TASK,
    "novita_v2/error_timeout": (BadReplyError, 500),
    "photio/error_401": (AuthError, 401),
    "photio/error_401_in_200": (AuthError, 401),
    "photio/error_500": (BadReplyError, 500),
    "photio/error_500_in_200": (BadReplyError, 500),
    "wavespeed/error_balance": (QuotaError, 402),
    "wavespeed/error_key": (AuthError, 401),
    "wavespeed/error_not_found": NO_TASK,
    "wavespeed/error_parameter": INVALID,
    "wavespeed/error_rate": (QuotaError, 429),
    "wavespeed/error_server": (BadReplyError, 500),
}


@pytest.mark.parametrize(("name", "expected"), ERRORS.items())
def test_recorded_errors_are_of_the_right_class(name, expected):
    wire = KINDS[name.partition("/")[0]].wire
    error, status = expected
    message = recorded(name)["body"]
    message = message.get("message") or message.get("msg") or message.get("body")
    with pytest.raises(ProviderError) as caught:
        wire.read_submit(reply_of(name))
    assert type(caught.value) is error
    assert status is None or caught.value.status == status
    assert message in str(caught.value)
    if wire is not PhotioUpscale.wire:
        with pytest.raises(error):
            wire.read_poll(reply_of(name))


def test_every_recorded_error_is_tested():
    assert {f"{path.parent.name}/{path.stem}" for path in DATA.glob("*/error_*.json")} == set(
        ERRORS
    )


@pytest.mark.parametrize("name", ERRORS)
def test_recorded_errors_become_whole_sentences(name):
    """More sentences are put behind them, which say what follows."""
    assert str(refused(KINDS[name.partition("/")[0]], reply_of(name))).endswith(".")


@pytest.mark.parametrize("name", ["photio/error_401", "photio/error_401_in_200"])
def test_photio_is_quoted_without_its_envelope(name):
    assert "answered HTTP 401: Unauthorized. Check" in str(refused(PhotioUpscale, reply_of(name)))


# --- written by the server's half

WRITTEN = {
    400: ProviderError,
    401: AuthError,
    402: QuotaError,
    403: AuthError,
    404: ProviderError,
    409: ProviderError,
    429: QuotaError,
    500: BadReplyError,
    503: BadReplyError,
    504: BadReplyError,
}


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(("status", "error"), WRITTEN.items())
def test_written_errors_are_read_back_in_the_right_class(kind, status, error):
    """A `BadReplyError` puts a paid task in doubt, so a clear refusal must not become one."""
    found = refused(kind, server_for(kind.__name__).write_error(status, "What to do about it"))
    assert type(found) is error
    assert "What to do about it" in str(found)
    assert found.provider == kind.vendor.name


@pytest.mark.parametrize("kind", [kind for kind in OPERATIONS if kind is not PhotioUpscale])
def test_unknown_tasks_are_read_back_as_such(kind):
    with pytest.raises(ProviderError) as caught:
        kind.wire.read_poll(server_for(kind.__name__).write_error(404, "no such task"))
    assert caught.value.status == 404


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("status", [*WRITTEN, 418, 507])
def test_written_errors_have_numbers_and_say_why(kind, status):
    reply = server_for(kind.__name__).write_error(status, "What to do about it")
    body = reply.json()
    assert reply.headers["content-type"] == "application/json"
    assert type(body.get("code", body.get("status_code"))) is int
    assert "What to do about it" in body.values()


def test_novita_refuses_keys_with_its_own_name_and_status():
    body = server_for(NovitaUpscale.__name__).write_error(401, "no").json()
    assert server_for(NovitaUpscale.__name__).write_error(401, "no").status == 403
    assert (body["reason"], body["metadata"]) == ("INVALID_API_KEY", {})
    assert server_for(WaveSpeedUpscale.__name__).write_error(401, "no").status == 401


def test_v2_refuses_in_the_envelope_of_a_good_answer():
    reply = server_for(NovitaUpscaleV2.__name__).write_error(402, "no")
    assert (reply.status, reply.json()["code"]) == (200, 7)


# --- answers that no document promises


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b""),
        Reply(200, b"<html>Sign in</html>"),
        Reply(200, b"[]"),
        Reply(200, b"null"),
        Reply(200, b"{}"),
        Reply(200, b"\xff\xfe\xfa"),
        Reply(200, b"[" * 100_000),
        Reply(200, b'{"task_id": true, "data": [], "body": null, "code": 0}'),
        Reply(204),
        Reply(303, headers={"location": "/"}),
        Reply(408),
        Reply(502, b"<html>Bad gateway</html>"),
    ],
)
def test_submit_answers_that_make_no_sense_are_in_doubt(kind, reply):
    assert type(refused(kind, reply)) is BadReplyError


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_of_a_submit_are_refused_and_explained(kind, status):
    found = refused(kind, Reply(status, headers={"location": "https://elsewhere.example"}))
    assert type(found) is ProviderError
    assert kind.vendor.url_variable in str(found)


@pytest.mark.parametrize("kind", OPERATIONS)
def test_long_words_of_a_service_are_shortened_to_one_line(kind):
    found = str(refused(kind, server_for(kind.__name__).write_error(400, "a\nb \x00" * 5000)))
    assert len(found) < 500
    assert "\n" not in found


@pytest.mark.parametrize(
    ("code", "error"),
    [(401, AuthError), (402, QuotaError), (429, QuotaError), (500, BadReplyError)],
)
def test_codes_inside_good_answers_count(code, error):
    found = refused(WaveSpeedUpscale, answer({"code": code, "message": "why", "data": None}))
    assert type(found) is error
