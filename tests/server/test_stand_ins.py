"""The shipped model in place of the vendors' ones, and how clients hear of it."""

import re

import pytest

from tests.server.sockless import (
    MODEL,
    POLLS,
    SUBMITS,
    V2,
    V3,
    Server,
    check,
    novita,
    opened,
    ticket,
    v2,
)
from upscale_bridge.server.replies import MODEL_HEADER
from upscale_bridge.service import Service

DEFAULTS = {
    "novita": (V3, lambda: novita(model="RealESRGAN_x4plus_anime_6B")),
    "novita-v2": (V2, lambda: v2(upscaler_1="R-ESRGAN 4x+")),
}
NAMES = {"novita": "RealESRGAN_x4plus_anime_6B", "novita-v2": "RealESRGAN_x4plus"}


@pytest.fixture
def bare(tmp_path):
    """A service with the shipped model only."""
    return Service(folders=lambda: [tmp_path / "models"])


@pytest.fixture
def lenient(tmp_path, bare, small_presets):
    return Server(tmp_path / "server", bare, substitute=True)


@pytest.mark.parametrize("command", DEFAULTS)
def test_without_the_switch_a_missing_model_is_refused_with_the_ways(tmp_path, bare, command):
    path, body = DEFAULTS[command]
    text = check(command, 400, Server(tmp_path, bare).post(path, body()))
    assert f"`upscale-bridge models download {NAMES[command]}`" in text
    assert "`upscale-bridge serve --download`" in text


@pytest.mark.parametrize("command", DEFAULTS)
def test_the_shipped_model_stands_in_and_every_answer_says_so(lenient, command):
    path, body = DEFAULTS[command]
    accepted = lenient.post(path, body())
    name = ticket(accepted)
    told = [lenient.get(POLLS[command].format(name))]
    assert lenient.work() == 1
    told.append(lenient.get(POLLS[command].format(name)))
    assert [reply.headers[MODEL_HEADER] for reply in (accepted, *told)] == [MODEL] * 3
    note = f"{MODEL} stands in for {NAMES[command]}"
    if command == "novita-v2":
        assert accepted.json()["data"]["warn"] == note
        assert [reply.json()["data"]["info"] for reply in told] == [note] * 2
        (url,) = told[-1].json()["data"]["imgs"]
    else:
        url = told[-1].json()["images"][0]["image_url"]
    assert opened(lenient.file(url).body).size == (24, 16)
    (task,) = lenient.get("/status").json()["tasks"]
    assert task["model"].endswith(f" ({MODEL})")


def test_a_model_that_is_there_is_named_and_nothing_is_noted(server):
    accepted = server.post(V3, novita())
    assert accepted.headers[MODEL_HEADER] == "4x-UltraSharp"
    accepted = server.post(V2, v2())
    assert (accepted.headers[MODEL_HEADER], accepted.json()["data"]["warn"]) == (MODEL, "")
    models = {task["model"] for task in server.get("/status").json()["tasks"]}
    assert models == {"4x-UltraSharp", MODEL}


def test_both_upscalers_are_named(lenient):
    second = {"upscaler_2": "ESRGAN_4x", "extras_upscaler_2_visibility": 0.5}
    accepted = lenient.post(V2, v2(upscaler_1=MODEL, **second))
    assert accepted.headers[MODEL_HEADER] == MODEL
    assert accepted.json()["data"]["warn"] == f"{MODEL} stands in for ESRGAN_4x"


@pytest.mark.parametrize("command", ["wavespeed", "photio", "novita-resolution"])
def test_models_that_nobody_else_has_are_told_as_far_as_the_format_goes(lenient, command):
    path, body = SUBMITS[command]
    reply = lenient.post(path, body())
    if command == "photio":
        reply = lenient.end(reply)
        assert set(reply.json()) == {"status_code", "body"}
    assert reply.headers[MODEL_HEADER] == MODEL
    if command == "wavespeed":
        assert reply.json()["message"] == (
            f"success; {MODEL} stands in for wavespeed-ai/image-upscaler"
        )


def test_no_model_is_named_where_none_runs(lenient):
    for fields in ({"upscaler_1": "Lanczos"}, {"upscaler_1": "None"}, {"upscaling_resize": 0.5}):
        reply = lenient.post(V2, v2(**fields))
        assert MODEL_HEADER not in reply.headers
        assert reply.json()["data"]["warn"] == ""
    assert lenient.work() == 3
    assert lenient.queue.counts()["failed"] == 0


def test_a_model_that_nobody_knows_has_no_stand_in(lenient):
    assert "none of that name is known" in check(
        "novita-v2", 400, lenient.post(V2, v2(upscaler_1="nobody's"))
    )


def test_what_was_told_is_what_is_done(tmp_path, lenient):
    """The model may come between the submit and the work."""
    name = ticket(lenient.post(V3, DEFAULTS["novita"][1]()))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "RealESRGAN_x4plus_anime_6B.safetensors").write_bytes(b"no model")
    lenient.work()
    reply = lenient.get(POLLS["novita"].format(name))
    assert reply.json()["task"]["status"] == "TASK_STATUS_SUCCEED"
    assert reply.headers[MODEL_HEADER] == MODEL


def test_a_model_that_has_gone_fails_the_task_without_telling_folders(tmp_path, bare):
    server = Server(tmp_path / "server", bare)
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "my own.safetensors"
    path.write_bytes(b"")
    name = ticket(server.post(V2, v2(upscaler_1="my own")))
    path.unlink()
    server.work()
    reason = server.get(POLLS["novita-v2"].format(name)).json()["data"]["failed_reason"]
    assert reason == "The model my own is not on this server any more."


def test_names_of_any_letters_fit_into_a_header(tmp_path, bare):
    server = Server(tmp_path / "server", bare)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "größer 大.safetensors").write_bytes(b"")
    header = server.post(V2, v2(upscaler_1="größer 大")).headers[MODEL_HEADER]
    assert re.fullmatch(r"[ -~]+", header)
    assert header == r"gr\xf6\xdfer \u5927"


def test_job_of_an_older_queue_is_done_with_its_own_models(server):
    name = ticket(server.post(V3, novita()))
    with server.queue._database.transaction():
        server.queue._database.execute("UPDATE jobs SET models = ''")
    assert server.work() == 1
    reply = server.get(POLLS["novita"].format(name))
    assert reply.json()["task"]["status"] == "TASK_STATUS_SUCCEED"
    assert MODEL_HEADER not in reply.headers
