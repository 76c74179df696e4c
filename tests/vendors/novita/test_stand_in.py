"""The stand-in's endpoints of Novita."""

import pytest
import requests

from tests.fakes.asking import TEXT, opened


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v3/async/upscale", {"request": {"image_base64": TEXT, "scale_factor": 2}}),
        ("/v3/async/image-upscaler", {"image": TEXT, "resolution": "16k"}),
        ("/v3/async/image-upscaler", {"image": "data:image/png;base64,AAAA"}),
        ("/v3/async/image-upscaler", {"resolution": "2k"}),
    ],
)
def test_what_is_not_accepted_is_not_billed(service, path, body):
    assert requests.post(service.base_url + path, json=body, timeout=5).status_code == 400
    assert service.tasks == []


def test_novita_image_upscaler_fetches_no_address(service):
    body = {"image": "https://example.invalid/a.png", "resolution": "4k", "output_format": "webp"}
    url = f"{service.base_url}/v3/async/image-upscaler"
    requests.post(url, json=body, timeout=5)
    (task,) = service.tasks
    assert (task.source, task.size, task.target) == ("url", (64, 48), (128, 96))


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"resize_mode": 0, "upscaling_resize": 3}, (60, 30)),
        ({"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 40}, (80, 40)),
        (
            {
                "resize_mode": 1,
                "upscaling_resize_w": 50,
                "upscaling_resize_h": 40,
                "upscaling_crop": True,
            },
            (50, 40),
        ),
    ],
)
def test_novita_v2(service, asked, size):
    body = {"image": TEXT, "upscaler_1": "R-ESRGAN 4x+", **asked}
    reply = requests.post(f"{service.base_url}/v2/upscale", json=body, timeout=5).json()
    url = f"{service.base_url}/v2/progress?task_id={reply['data']['task_id']}"
    data = requests.get(url, timeout=5).json()["data"]
    assert (data["status"], data["progress"]) == (2, 1)
    assert opened(requests.get(data["imgs"][0], timeout=5).content).size == size
