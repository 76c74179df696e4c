"""The live catalogue: what it allows, when it is asked, and what holds without it."""

import json

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import Watch, configure, enlarged, picture
from tests.vendors.wavespeed.catalogue import MODELS
from upscale_bridge.errors import InvalidInputError, MissingKeyError, ProviderError
from upscale_bridge.remote.offers import FRESH_SECONDS
from upscale_bridge.storage.settings import home
from upscale_bridge.vendors import WaveSpeedUpscaleAny

ANY = "wavespeed-any"
NEW = "nextgen/upscale-9000"  # younger than what ships


@pytest.fixture
def seller(vendor):
    vendor.fake.catalogue = MODELS
    return vendor


def names(host):
    return [model.name for model in host.client.models(WaveSpeedUpscaleAny)]


def test_the_list_is_what_ships_until_a_run_has_read_the_live_one(seller):
    assert names(seller.host) == [model.name for model in WaveSpeedUpscaleAny.sells.known]
    assert seller.fake.count("models") == 0, "nobody asked for a run"
    seller.run(ANY)
    assert names(seller.host)[-1] == "nextgen/closed-enhance"
    assert names(seller.another()) == names(seller.host), "it is kept for other programs"
    assert seller.fake.count("models") == 1


def test_the_catalogue_is_asked_once_an_hour(seller):
    for ahead, asked in ((0, 1), (FRESH_SECONDS - 60, 1), (120, 2), (-3 * FRESH_SECONDS, 3)):
        seller.clock.ahead += ahead
        seller.run(ANY, attempt=seller.submits() + 1)
        assert seller.fake.count("models") == asked


def test_it_may_be_asked_anew_while_somebody_looks(seller):
    """Each picture of a folder looks for its model on a thread of its own."""

    class Forgotten(dict):
        def __contains__(self, key):
            there = super().__contains__(key)
            self.clear()  # as when another thread has just had an answer
            return there

    seller.run(ANY)
    before = names(seller.host)
    seller.host.client.offers._read = Forgotten(seller.host.client.offers._read)
    assert names(seller.host) == before


def test_a_model_that_only_the_live_catalogue_has_runs(seller):
    options = '{"output_format": "png", "seed": 5}'
    found = seller.run(ANY, model=NEW, options=options, result_size="as delivered")
    assert torch.equal(found.images, enlarged(ANY, picture()))
    assert seller.fake.tasks[0].operation == f"/api/v3/{NEW}"
    assert seller.fake.tasks[0].body == {"output_format": "png", "seed": 5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "nextgen/upscale-900"}, "no model 'nextgen/upscale-900' for this; it has next"),
        ({"model": "wavespeed-ai/video-upscaler"}, "has no model 'wavespeed-ai/video-upscaler'"),
        ({"model": "recraft-ai/recraft-crisp-upscale"}, "has no model 'recraft-ai/recraft-crisp"),
        ({"options": '{"target_resolution": "16k"}'}, "must be one of 2k, 4k, 8k; got 16k"),
        ({"model": NEW, "options": '{"seed": -2}'}, "seed must be -1 or more"),
        ({"model": "clarity-ai/flux-upscaler", "options": "{}"}, "The model needs prompt"),
        ({"model": "nextgen/closed-enhance", "options": '{"x": 1}'}, "has no parameter x; it has"),
    ],
)
def test_what_the_catalogue_does_not_have_is_refused_before_anything_is_sent(
    seller, changes, words
):
    with pytest.raises(InvalidInputError, match=words):
        seller.run(ANY, **changes)
    assert {request.path for request in seller.fake.requests} == {"/api/v3/models"}
    assert seller.rows == []


def test_kept_results_and_running_tasks_need_no_catalogue(seller):
    seller.run(ANY)
    seller.fake.catalogue = []
    (home() / "catalogues").rename(home() / "gone")
    again = seller.another()
    assert (
        again.run(WaveSpeedUpscaleAny(options='{"output_format": "png"}'), picture()).info["tasks"][
            0
        ]["how"]
        == "reused"
    )


@pytest.mark.parametrize("fault", [faults.answer(500), faults.answer(200, b"{"), faults.huge()])
def test_without_the_catalogue_what_ships_holds(seller, fault):
    seller.fake.faults["models"] += [fault] * 9
    assert torch.equal(seller.run(ANY).images, enlarged(ANY, picture()))
    with pytest.raises(InvalidInputError, match="one of 2k, 4k, 8k"):
        seller.run(ANY, options='{"target_resolution": "16k"}')
    assert seller.submits() == 1


def test_what_nobody_knows_is_not_run_without_the_catalogue(vendor):
    with pytest.raises(ProviderError):
        vendor.run(ANY, model=NEW)
    assert vendor.submits() == 0


def test_without_a_key_it_is_the_key_that_is_missing(vendor, monkeypatch):
    monkeypatch.delenv("WAVESPEED_API_KEY")
    monkeypatch.delenv("WAVESPEED_BASE_URL")
    for model in (NEW, "wavespeed-ai/image-upscaler"):
        with pytest.raises(MissingKeyError):
            vendor.run(ANY, model=model)
    here = {"when_unavailable": "run locally", "options": '{"target_resolution": "2k"}'}
    found = vendor.run(ANY, picture(size=(24, 2)), **here)
    assert max(found.images.shape) == 2048


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"told": "x", "status": 200, "body": "{}"}'])
def test_a_damaged_copy_is_none(seller, text):
    seller.run(ANY)
    (path,) = (home() / "catalogues").iterdir()
    path.write_text(text, "utf-8")
    other = seller.another()
    assert names(other) == [model.name for model in WaveSpeedUpscaleAny.sells.known]
    other.run(WaveSpeedUpscaleAny(), picture())
    assert names(other) == names(seller.host)


def test_the_copy_holds_no_key(seller):
    seller.run(ANY)
    (path,) = (home() / "catalogues").iterdir()
    assert set(json.loads(path.read_text("utf-8"))) == {"told", "status", "body"}
    key = seller.host.client.hosts.keys.find("wavespeed").secret.reveal()
    assert key not in path.read_text("utf-8")


def test_it_is_asked_beside_other_work_once(seller):
    told = []
    offers = seller.host.client.offers
    for _ in range(5):
        offers.refresh_beside(WaveSpeedUpscaleAny, lambda: told.append(1))
    from tests.remote.host import wait_until

    wait_until(lambda: told)
    offers.refresh_beside(WaveSpeedUpscaleAny, lambda: told.append(1))
    assert (told, seller.fake.count("models")) == ([1], 1)


# --- prices


def price(host, **changes):
    return host.client.offers.price(WaveSpeedUpscaleAny(**changes))


def test_a_price_counts_the_defaults_and_is_asked_once_an_hour(seller):
    seller.host.client.offers.refresh(WaveSpeedUpscaleAny)
    pro = {"model": "clarity-ai/pro-upscaler"}
    assert price(seller.host, **pro).amount == pytest.approx(0.12), "4 megapixels by default"
    assert price(seller.host, **pro, options='{"target_megapixels": 16}').amount == 0.48
    assert price(seller.host, **pro).least is False
    assert seller.fake.count("price") == 2
    seller.clock.ahead += FRESH_SECONDS + 1
    price(seller.host, **pro)
    assert seller.fake.count("price") == 3


def test_a_price_that_depends_on_the_file_is_the_least(seller):
    seller.host.client.offers.refresh(WaveSpeedUpscaleAny)
    found = price(seller.host, model="topaz/image/sharpen")
    assert (found.amount, found.least, str(found.text)) == (0.096, True, "at least $0.096")


def test_a_host_without_prices_tells_none(vendor):
    vendor.fake.catalogue = None
    configure(max_cost_run=0.01)
    vendor.run("photio")
    assert vendor.host.client.offers.balance(WaveSpeedUpscaleAny).amount == 12.5


@pytest.mark.parametrize(("command", "each"), [("wavespeed", "$0.01"), (ANY, "$0.01")])
def test_a_batch_says_how_often_it_pays_before_it_does(seller, command, each):
    configure(show_prices=True)
    watch = Watch()
    seller.run(command, picture(1, 2, 3), watch)
    title = "WaveSpeed Upscale" if command == "wavespeed" else "WaveSpeed Upscale Any"
    assert watch.notices == [f"{title}: 3 images are 3 payments, $0.03 in all."]
    seller.run(command, picture(1, 2, 3), watch)
    assert len(watch.notices) == 1, "nothing is paid the second time"
