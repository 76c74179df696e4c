"""The model `upscale-bridge/local`, which only servers of ours have in WaveSpeed's words."""

import json
import math

import numpy as np
import pytest

from tests.server.sockless import MODEL, WAVESPEED, Server, image, opened, pixels, refusal, uri
from upscale_bridge import LocalUpscale
from upscale_bridge.images import codecs
from upscale_bridge.server import processing
from upscale_bridge.server.replies import MODEL_HEADER
from upscale_bridge.service import Service
from upscale_bridge.vendors import UpscaleBridgeLocal
from upscale_bridge.vendors.wavespeed.bridge import MODEL as OWN

PATH = f"/api/v3/{OWN}"


def submit(server, data=None, **told):
    return server.post(PATH, {"image": uri(data or image()), **told})


def data(reply):
    assert reply.status == 200, reply.body
    return reply.json()["data"]


def done(server, reply):
    assert server.work() == 1
    found = data(server.get(f"/api/v3/predictions/{data(reply)['id']}/result"))
    assert found["status"] == "completed", found["error"]
    return opened(server.file(found["outputs"][0]).body)


def test_parameters_in_the_catalogue_are_those_of_the_local_operation(server):
    (found,) = (one for one in data(server.get("/api/v3/models")) if one["model_id"] == OWN)
    (told,) = found["api_schema"]["api_schemas"]
    schema = told["request_schema"]
    names = [item.name for item in LocalUpscale.params() if item.name != "download"]
    assert schema["x-order-properties"] == ["image", *names]
    assert (told["api_path"], schema["additionalProperties"]) == (PATH, False)
    body = {name: schema["properties"][name]["default"] for name in names}
    assert done(server, submit(server, **body, enable_base64_output=None)).size == (48, 32)
    assert data(server.post("/api/v3/model/price", {"model_id": OWN}))["price"] == 0


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_all_channels_come_back(server, mode):
    reply = submit(server, image(9, 6, mode), size_by="longest edge", longest_edge=13)
    found = done(server, reply)
    assert (found.mode, found.size) == (mode, (13, 9))
    assert reply.headers[MODEL_HEADER] == MODEL
    assert reply.json()["message"] == "success"


def test_constant_transparency_stays(server):
    clear = pixels(9, 6, "RGBA")
    clear[..., 3] = 77
    found = np.asarray(done(server, submit(server, opened_as_png(clear), scale_factor="2")))
    assert set(found[..., 3].ravel()) == {77}


def opened_as_png(array):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png")
    return buffer.getvalue()


def test_sync_mode_waits_for_the_result(server):
    found = data(server.end(submit(server, enable_sync_mode=True, scale_factor=2)))
    assert (found["status"], found["model"]) == ("completed", OWN)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"scale_factor": 99}, "scale_factor must be a number from 0.25 to 16; got 99."),
        ({"scale": 2}, f"{OWN} has no parameter scale; it has model, scale_factor, "),
        ({"download": True}, f"{OWN} has no parameter download; it has model, "),
        ({"enable_base64_output": True}, "has no parameter enable_base64_output"),
        ({"model": "nope"}, "There is no model nope on this server"),
        ({"model": "4x-AnimeSharp"}, "4x-AnimeSharp is not on this server yet"),
        ({"mixed_with": "nope"}, "There is no model nope on this server"),
        ({"denoise": 0.5}, "denoise is for the model realesr-general-x4v3"),
        ({"size_by": "width and height", "width": 0, "height": 0}, "are both 0"),
        ({"size_by": "megapixels", "megapixels": 900}, "The result would have"),
        ({"fit_mode": "squeeze"}, "fit_mode must be one of fit, fill, stretch"),
    ],
    ids=json.dumps,
)
def test_bad_parameters_are_refused_in_the_vendors_envelope(server, told, words):
    status, code, message = refusal(submit(server, **told))
    assert (status, code) == (400, 400)
    assert words in message
    assert sum(server.queue.counts().values()) == 0


def test_largest_result_that_a_server_makes_is_taken():
    largest = UpscaleBridgeLocal(scale_factor=1)
    side = math.isqrt(codecs.MOST_PIXELS)
    assert processing.largest_result(largest, side, side) < largest.largest_result


def test_no_other_model_stands_in(tmp_path, small_presets):
    lenient = Server(tmp_path / "server", Service(folders=lambda: [tmp_path]), substitute=True)
    assert "is not on this server yet" in refusal(submit(lenient, model="4x-UltraSharp"))[2]


def test_history_tells_its_tasks_apart(server):
    small = {"image": uri(image()), "target_resolution": "2k"}
    server.post(WAVESPEED, small)
    submit(server, model="4x-UltraSharp", scale_factor=2)
    both = data(server.post("/api/v3/predictions", {}))["items"]
    assert {one["model"] for one in both} == {OWN, "wavespeed-ai/image-upscaler"}
    (own,) = data(server.post("/api/v3/predictions", {"model": OWN}))["items"]
    assert own["inputs"].pop("image")
    assert own["inputs"] == {"model": "4x-UltraSharp", "scale_factor": 2.0}
    assert data(server.post("/api/v3/predictions", {"model": "4x-UltraSharp"}))["items"] == []
