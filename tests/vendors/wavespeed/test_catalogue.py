"""WaveSpeed's list of models, and an operation whose parameters are those of one of them."""

import json

import pytest

from tests.vendors.wavespeed.catalogue import MODELS
from upscale_bridge.contract.http import Reply, answer
from upscale_bridge.errors import BadReplyError, InvalidInputError, ProviderError
from upscale_bridge.vendors import WaveSpeedUpscaleAny
from upscale_bridge.vendors.wavespeed.catalogue import WaveSpeedCatalogue

IMAGE, VIDEO = WaveSpeedCatalogue("image"), WaveSpeedCatalogue("video")


def told(models):
    return answer({"code": 200, "message": "success", "data": models})


def any_model(model="wavespeed-ai/image-upscaler", **options):
    return WaveSpeedUpscaleAny(model=model, options=json.dumps(options))


def test_upscalers_of_images_and_of_videos_are_found_among_all_models():
    assert [model.name for model in IMAGE.read(told(MODELS))] == [
        "wavespeed-ai/image-upscaler",
        "wavespeed-ai/seedvr2/image",
        "wavespeed-ai/ultimate-image-upscaler",
        "wavespeed-ai/real-esrgan",
        "bria/increase-resolution",
        "clarity-ai/pro-upscaler",
        "clarity-ai/flux-upscaler",
        "topaz/image/sharpen",
        "nextgen/upscale-9000",
        "nextgen/closed-enhance",
    ]
    assert [model.name for model in VIDEO.read(told(MODELS))] == [
        "wavespeed-ai/video-upscaler",
        "wavespeed-ai/flashvsr",
    ]


def test_a_model_has_its_parameters_in_the_order_in_which_they_are_shown():
    found = {model.name: model for model in IMAGE.read(told(MODELS))}
    pro = found["clarity-ai/pro-upscaler"]
    megapixels, creativity = pro.schema.fields[:2]
    assert [field.name for field in pro.schema.fields[:2]] == ["target_megapixels", "creativity"]
    assert (megapixels.minimum, megapixels.maximum, megapixels.default) == (1, 64, 4)
    assert megapixels.help == "Target resolution in megapixels."
    assert creativity.kinds == ("number", "null")
    assert pro.price == "from $0.03"
    assert pro.schema.file.name == "image"


def test_models_are_sorted_as_the_vendor_has_them():
    first, second = dict(MODELS[0], sort_order=2), dict(MODELS[1], sort_order=1)
    names = [model.name for model in IMAGE.read(told([first, second]))]
    assert names == [second["model_id"], first["model_id"]]


@pytest.mark.parametrize(
    "data",
    [None, [], {}, "models", [None, 3, [], {}], [{"model_id": "a/upscaler"}], {"items": []}],
    ids=str,
)
def test_a_list_without_models_is_an_empty_one(data):
    assert IMAGE.read(told(data)) == ()


def test_an_odd_schema_is_no_reason_to_lose_the_others():
    odd = {"properties": {"image": None, "x": 3, "y": {"type": ["any"], "enum": 3, "minimum": "1"}}}
    model = {**MODELS[0], "api_schema": {"api_schemas": [{"request_schema": odd}]}}
    found = IMAGE.read(told([model, MODELS[1]]))
    assert [field.name for field in found[0].schema.fields] == ["x", "y"]
    found[0].schema.check({"x": 1, "y": [2]})
    assert len(found) == 2


def test_a_refused_list_is_an_error():
    with pytest.raises(ProviderError):
        IMAGE.read(Reply(401, b'{"code": 401, "message": "no key"}'))
    with pytest.raises(BadReplyError):
        IMAGE.read(Reply(200, b"<html>"))


def test_every_model_that_ships_can_be_chosen_and_priced():
    for model in IMAGE.known:
        operation = WaveSpeedUpscaleAny(model=model.name)
        assert str(operation.price) == f"{model.price} (WaveSpeed's list price of 2026)"
        if model.schema is not None:
            model.schema.check(model.schema.complete({}))
    assert len({model.name for model in (*IMAGE.known, *VIDEO.known)}) == 27


@pytest.mark.parametrize(
    "text",
    ["[1]", "3", "null", '"4k"', "{", "{'a': 1}", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 9999],
)
def test_options_that_are_no_object_are_refused(text):
    with pytest.raises(InvalidInputError, match="options must be a JSON object") as caught:
        WaveSpeedUpscaleAny(options=text)
    assert caught.value.name == "options"


def test_blank_options_are_none():
    assert WaveSpeedUpscaleAny(options=" \n").inputs == {}


@pytest.mark.parametrize(
    "model", ["", "upscaler", "../models", "a/../b", "a/b?x=1", "a//b", "a/b "]
)
def test_an_id_that_leads_elsewhere_is_refused(model):
    with pytest.raises(InvalidInputError, match="an id of WaveSpeed's catalogue"):
        WaveSpeedUpscaleAny(model=model)


def test_the_file_and_further_results_are_no_options():
    with pytest.raises(InvalidInputError, match="Leave image out"):
        any_model(image="https://example.com/a.png")
    with pytest.raises(InvalidInputError, match="num_images must be 1"):
        any_model("wavespeed-ai/phota/enhance", num_images=2)
    assert any_model("wavespeed-ai/phota/enhance", num_images=1).inputs == {"num_images": 1}


def test_the_same_options_are_the_same_request():
    one = WaveSpeedUpscaleAny(options='{"a": 1, "b": [2.5, "ü"]}').told()
    assert one == WaveSpeedUpscaleAny(options=' {"b":[2.5,"\\u00fc"],"a":1}').told()
    assert one != WaveSpeedUpscaleAny(options='{"a": 2, "b": [2.5, "ü"]}').told()


@pytest.mark.parametrize(
    ("operation", "target", "promised"),
    [
        (any_model(), (4096, 3072), True),
        (any_model(target_resolution="2k"), (2048, 1536), True),
        (any_model(target_resolution="16k"), (400, 300), False),
        (any_model("bria/increase-resolution"), (800, 600), True),
        (any_model("bria/increase-resolution", desired_increase=4), (1600, 1200), True),
        (any_model("clarity-ai/pro-upscaler", target_megapixels=12), (4000, 3000), False),
        (any_model("wavespeed-ai/real-esrgan"), (400, 300), False),
        (any_model("acme/new", scale=True), (400, 300), False),
        (any_model("acme/new", scale=3), (1200, 900), True),
    ],
)
def test_the_size_is_known_where_the_options_name_it(operation, target, promised):
    assert operation.target(400, 300) == target
    assert operation.promises_size() is promised


def test_what_has_no_known_size_is_not_done_here():
    assert any_model("wavespeed-ai/real-esrgan").only_there()
    assert not any_model("clarity-ai/pro-upscaler").only_there()
    assert not any_model().only_there()
