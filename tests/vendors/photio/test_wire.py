"""What Photio's wire reads besides what is recorded."""

import pytest

from tests.vendors.photio.profile import PROFILES
from upscale_bridge.contract.http import answer
from upscale_bridge.errors import AuthError, BadReplyError, ProviderError, QuotaError
from upscale_bridge.vendors import PhotioUpscale

(PROFILE,) = PROFILES
WIRE = PhotioUpscale.wire


@pytest.mark.parametrize("name", ["error_401", "error_401_in_200"])
def test_it_is_quoted_without_its_envelope(name):
    with pytest.raises(AuthError, match=r"answered HTTP 401: Unauthorized\. Check"):
        WIRE.read_submit(PROFILE.reply(name))


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ({"status_code": 401, "body": "no"}, AuthError, "Check the key"),
        ({"status_code": 402}, QuotaError, "Top up the balance"),
        ({"status_code": "422", "body": "odd"}, ProviderError, "odd"),
        ({"status_code": 429}, QuotaError, "Wait a while"),
        ({"status_code": 500, "body": "oops"}, BadReplyError, "oops"),
    ],
)
def test_codes_inside_good_answers_count(body, error, words):
    with pytest.raises(ProviderError, match=words) as caught:
        WIRE.read_submit(answer(body))
    assert type(caught.value) is error
