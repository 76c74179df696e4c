"""Limits on what a run and a day may cost."""

import pytest

from tests.fakes import faults
from tests.remote.host import configure, picture
from tests.vendors.wavespeed.catalogue import MODELS
from upscale_bridge.errors import CostLimitError, ProviderError, TaskFailedError

ANY, PRO = "wavespeed-any", "clarity-ai/pro-upscaler"


@pytest.fixture
def seller(vendor):
    vendor.fake.catalogue = MODELS
    return vendor


def test_a_batch_that_costs_too_much_is_refused_before_its_first_submit(seller):
    configure(max_cost_run=0.025)
    with pytest.raises(CostLimitError) as caught:
        seller.run("wavespeed", picture(1, 2, 3))
    assert str(caught.value).endswith(
        "The run would cost $0.03 (3 at $0.01 each), more than max_cost_run allows ($0.025). "
        "Nothing was submitted; take fewer images, or raise it in the settings."
    )
    assert (seller.submits(), seller.fake.count("ticket"), seller.rows) == (0, 0, [])
    seller.run("wavespeed", picture(1, 2))
    seller.run("wavespeed", picture(1, 2, 3))  # two of them are kept
    assert seller.submits() == 3
    assert [row.cost for row in seller.rows] == [0.01] * 3


def test_it_is_no_reason_to_run_locally(seller):
    configure(max_cost_run=0.001)
    with pytest.raises(CostLimitError):
        seller.run("wavespeed", when_unavailable="run locally with any model")


def test_options_decide_what_it_costs(seller):
    configure(max_cost_run=0.2)
    seller.run(ANY, model=PRO, options="{}")
    with pytest.raises(CostLimitError, match=r"\$0\.48"):
        seller.run(ANY, model=PRO, options='{"target_megapixels": 16}')


@pytest.mark.parametrize("model", ["topaz/image/sharpen"])
def test_what_nobody_can_tell_beforehand_is_refused(seller, model):
    configure(max_cost_run=5)
    with pytest.raises(CostLimitError, match=r"tells at least \$0\.096 for this run, so it cannot"):
        seller.run(ANY, model=model, options="{}")
    configure()
    seller.run(ANY, model=model, options='{"output_format": "png"}')


def test_a_vendor_without_prices_cannot_be_held_to_a_limit(seller, monkeypatch):
    monkeypatch.setattr(type(seller.host.client.hosts), "is_private", lambda *_: False)
    configure(max_cost_day=5)
    with pytest.raises(CostLimitError, match="Photio tells no price for this run"):
        seller.run("photio")
    assert seller.submits() == 0


def test_a_price_that_cannot_be_asked_ends_a_limited_run_only(seller, monkeypatch):
    monkeypatch.setattr(type(seller.host.client.hosts), "is_private", lambda *_: False)
    seller.fake.faults["price"] += [faults.answer(403, {"message": "no"})] * 2
    configure(max_cost_run=5)
    with pytest.raises(ProviderError):
        seller.run("wavespeed")
    configure(show_prices=True)
    seller.run("wavespeed")
    assert seller.submits() == 1


def test_a_day_has_24_hours(seller):
    configure(max_cost_day=0.025)
    for attempt in (1, 2):
        seller.run("wavespeed", attempt=attempt)
    with pytest.raises(CostLimitError, match=r"\$0\.02 were spent in the last 24 hours"):
        seller.run("wavespeed", attempt=3)
    seller.run("wavespeed", attempt=2)  # is kept
    seller.clock.ahead += 86_401
    seller.run("wavespeed", attempt=3)
    assert seller.submits() == 3


def test_a_batch_stops_where_the_day_is_spent(seller):
    configure(max_cost_day=0.025, concurrency=1)
    with pytest.raises(CostLimitError, match="Image 3"):
        seller.run("wavespeed", picture(1, 2, 3))
    assert seller.submits() == 2


def test_failed_tasks_are_not_counted(seller):
    configure(max_cost_day=0.015)
    seller.fake.faults["poll"].append(faults.failed())
    with pytest.raises(TaskFailedError):
        seller.run("wavespeed")
    seller.run("wavespeed")
