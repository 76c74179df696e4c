"""The stand-in alone, and with a host that speaks to it."""

import pytest

from tests.fakes.service import FakeService
from tests.remote.conftest import ends, remote, vendor

__all__ = ["ends", "remote", "service", "vendor"]


@pytest.fixture
def service():
    with FakeService() as made:
        yield made
