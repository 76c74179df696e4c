"""What remote operations say of themselves."""

import pytest

from tests.vendors import profiles
from upscale_bridge.contract.shared import SHARED
from upscale_bridge.vendors import OPERATIONS

EVERY = [(kind, item) for kind in OPERATIONS for item in kind.params()]


@pytest.mark.parametrize(("kind", "item"), EVERY)
def test_every_parameter_is_explained_in_sentences(kind, item):
    assert item.help.endswith(".")
    assert item.help[0].isupper()
    assert "  " not in item.help
    assert item.check(item.default) == item.default


@pytest.mark.parametrize("kind", OPERATIONS)
def test_service_is_not_told_what_is_ours(kind):
    told = kind().told()
    assert not told.keys() & set(SHARED)
    own = [item.name for item in kind.params() if item.name not in SHARED]
    assert list(told) == own
    assert [item.name for item in kind.params()] == [*own, *SHARED]
    assert kind(attempt=2, result_size="exact").told() == told


def each(field):
    """Return a case for each fact that a field of the profiles tells of an operation."""
    found = [(one.command, fact) for one in profiles().values() for fact in getattr(one, field)]
    return [pytest.param(*fact, id=f"{command}-{i}") for i, (command, fact) in enumerate(found)]


@pytest.mark.parametrize(("operation", "size", "target"), each("targets"))
def test_target_is_the_size_that_is_asked_for(operation, size, target):
    assert operation.target(*size) == target


@pytest.mark.parametrize(("operation", "limits"), each("limits"))
def test_limits_are_the_documented_ones(operation, limits):
    assert operation.limits == limits


@pytest.mark.parametrize(("operation", "size", "factor", "models"), each("models"))
def test_others_can_do_it_with_these_models(operation, size, factor, models):
    assert operation.factor(*size) == factor
    assert operation.models() == models
    assert operation.only_there() == ""


@pytest.mark.parametrize(("operation", "ways", "address"), each("ways"))
def test_image_travels_in_documented_ways(operation, ways, address):
    assert (operation.ways(), operation.image_address) == (ways, address)
