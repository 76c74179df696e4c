"""The stand-in's endpoints of WaveSpeed."""

import base64
import time

import requests

from tests.fakes.asking import MODEL, PNG, TEXT, opened, wavespeed
from tests.fakes.service import FakeService


def test_what_is_not_accepted_is_not_billed(service):
    body = {"image": TEXT, "output_format": "bmp"}
    assert requests.post(service.base_url + MODEL, json=body, timeout=5).status_code == 400
    assert service.tasks == []


def test_wavespeed(service):
    data = wavespeed(service, target_resolution="2k", output_format="png")
    assert (data["status"], data["outputs"]) == ("created", [])
    for url in (data["urls"]["get"], data["urls"]["get"].removesuffix("/result")):
        again = requests.get(url, timeout=5).json()["data"]
        assert (again["status"], again["model"]) == ("completed", "wavespeed-ai/image-upscaler")
    assert opened(requests.get(again["outputs"][0], timeout=5).content).size == (64, 32)


def test_wavespeed_sync_and_base64(service):
    data = wavespeed(service, enable_sync_mode=True, enable_base64_output=True)
    assert data["status"] == "completed"
    picture = opened(base64.b64decode(data["outputs"][0]))
    assert (picture.format, picture.size) == ("JPEG", (128, 64))


def test_wavespeed_sync_that_takes_too_long():
    with FakeService(seconds=0.1, sync_limit=0.02) as service:
        data = wavespeed(service, enable_sync_mode=True)
        assert (data["status"], data["code"]) == ("processing", 5004)
        time.sleep(0.1)
        assert requests.get(data["urls"]["get"], timeout=5).json()["data"]["outputs"]


def test_wavespeed_ticket(service):
    about = {"filename": "a.png", "size": len(PNG), "content_type": "image/png"}
    url = f"{service.base_url}/api/v3/media/uploads"
    data = requests.post(url, json=about, timeout=5).json()["data"]
    ticket = data["upload"]
    with_key = {**ticket["headers"], "Authorization": "Bearer a"}
    for headers in ({}, with_key):
        assert requests.put(ticket["url"], PNG, headers=headers, timeout=5).status_code >= 400
    reply = requests.put(ticket["url"], PNG, headers=ticket["headers"], timeout=5)
    assert reply.status_code == 200
    wavespeed(service, data["download_url"])
    assert (service.tasks[0].source, service.tasks[0].size) == ("upload", (20, 10))


def test_wavespeed_legacy_upload(service):
    url = f"{service.base_url}/api/v3/media/upload/binary"
    data = requests.post(url, files={"file": ("a.png", PNG)}, timeout=5).json()["data"]
    assert data["size"] == len(PNG)
    wavespeed(service, data["download_url"])
    assert service.tasks[0].image == PNG


def test_wavespeed_fails_where_nothing_was_uploaded(service):
    data = wavespeed(service, f"{service.base_url}/uploads/none/a.png")
    data = requests.get(data["urls"]["get"], timeout=5).json()["data"]
    assert (data["status"], data["code"], len(service.tasks)) == ("failed", 1402, 1)
