"""The stand-in's endpoint of Photio."""

import base64

from tests.fakes.asking import opened, photio


def test_photio(service):
    reply = photio(service).json()
    assert reply["status_code"] == 200
    assert opened(base64.b64decode(reply["body"])).size == (80, 40)
    assert len(service.tasks) == 1
