"""What WaveSpeed's own tools ask our server beside tasks: models, prices, balance, history."""

import json

import pytest

from tests.server.sockless import V3, WAVESPEED, image, novita, opened, refusal, wavespeed
from upscale_bridge.vendors.wavespeed.upscale import MODELS

HISTORY = "/api/v3/predictions"


def told(reply):
    body = reply.json()
    assert (reply.status, body["code"]) == (200, 200)
    return body["data"]


def history(server, key="sk-anna", **body):
    return told(server.post(HISTORY, body, key=key))["items"]


def test_models_tell_their_parameters_in_order(server):
    found = told(server.get("/api/v3/models"))
    assert tuple(model["model_id"] for model in found[:-1]) == MODELS
    for model in found[:-1]:
        assert (model["type"], model["base_price"]) == ("image-to-image", 0)
        schema = model["api_schema"]["api_schemas"][0]["request_schema"]
        assert schema["x-order-properties"] == list(schema["properties"])
        assert schema["required"] == ["image"]
        assert schema["properties"]["target_resolution"]["enum"] == ["2k", "4k", "8k"]
        assert schema["properties"]["creativity"]["minimum"] == -2.0
        assert not {"image_url", "attempt", "model"} & schema["properties"].keys()


def test_submit_by_the_schema_alone_is_taken(server):
    (schema,) = told(server.get("/api/v3/models"))[0]["api_schema"]["api_schemas"]
    properties = schema["request_schema"]["properties"]
    body = {name: facts["default"] for name, facts in properties.items() if name != "image"}
    assert told(server.post(schema["api_path"], {**wavespeed(), **body}))["status"] == "created"


@pytest.mark.parametrize(("path", "amount"), [("price", "price"), ("pricing", "unit_price")])
def test_nothing_costs(server, path, amount):
    asked = {"model_id": MODELS[1], "inputs": {"target_resolution": "8k"}}
    found = told(server.post(f"/api/v3/model/{path}", asked))
    assert (found["model_id"], found[amount], found["currency"]) == (MODELS[1], 0, "USD")
    assert told(server.get("/api/v3/balance")) == {"balance": 0}
    status, _, message = refusal(server.post(f"/api/v3/model/{path}", {"model_id": "nobody/knows"}))
    assert (status, "no model nobody/knows" in message) == (400, True)


def test_history_has_the_tasks_of_its_key_and_api(server):
    picture = image()
    for model in (MODELS[0], MODELS[1], MODELS[0]):
        server.post(f"/api/v3/{model}", wavespeed(picture))
    server.post(WAVESPEED, wavespeed(), key="sk-bert")
    server.post(V3, novita())
    found = history(server)
    assert [item["model"] for item in found] == [MODELS[0], MODELS[1], MODELS[0]]
    assert [item["status"] for item in found] == ["created"] * 3
    assert found[0]["inputs"]["target_resolution"] == "2k"
    assert server.file(found[0]["inputs"]["image"]).body == picture
    assert [item["model"] for item in history(server, model=MODELS[1])] == [MODELS[1]]
    assert history(server, status="completed") == []
    assert len(history(server, status="created", page_size=2)) == 2
    (last,) = history(server, page=2, page_size=2)
    assert last["id"] == found[2]["id"]


def test_history_names_results_by_their_addresses(server):
    server.post(WAVESPEED, wavespeed(enable_base64_output=True))
    server.work()
    (item,) = history(server, status="completed")
    assert opened(server.file(item["outputs"][0]).body).format == "PNG"


def test_history_of_a_time(server):
    server.post(WAVESPEED, wavespeed())
    (item,) = history(server, created_after="2020-01-01T00:00:00.000Z")
    assert len(history(server, created_after=item["created_at"])) == 1
    assert history(server, created_after="2100-01-01T00:00:00Z") == []
    assert history(server, created_before="2020-01-01T00:00:00+02:00") == []


@pytest.mark.parametrize(
    "body", [{"created_after": "then"}, {"created_before": 7}, {"status": "lost"}], ids=json.dumps
)
def test_wrong_questions_are_refused(server, body):
    status, _, message = refusal(server.post(HISTORY, body))
    (name,) = body
    assert (status, name in message) == (400, True)


@pytest.mark.parametrize("size", [0, -1, "many", 10**9, None])
def test_odd_pages_are_bounded(server, size):
    server.post(WAVESPEED, wavespeed())
    assert len(history(server, page_size=size)) == 1
    assert history(server, page=10**30) == []
