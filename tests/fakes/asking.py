"""Plain requests to the stand-in, for its own tests."""

import base64
import io

import requests
from PIL import Image

from tests.fakes import pictures

PNG = pictures.encode(Image.linear_gradient("L").resize((20, 10)).convert("RGB"), "png")
TEXT = base64.b64encode(PNG).decode()
MODEL = "/api/v3/wavespeed-ai/image-upscaler"


def novita(service, **options):
    request = {"model_name": "4x-UltraSharp", "image_base64": TEXT, "scale_factor": 2.5}
    body = {"extra": {"response_image_type": "png"}, "request": request}
    return requests.post(f"{service.base_url}/v3/async/upscale", json=body, timeout=5, **options)


def result(service, task_id, **options):
    url = f"{service.base_url}/v3/async/task-result"
    return requests.get(url, params={"task_id": task_id}, timeout=5, **options)


def finished(service):
    """Submit and return the address of the result."""
    found = result(service, novita(service).json()["task_id"]).json()
    return found["images"][0]["image_url"]


def wavespeed(service, image=TEXT, model=MODEL, **body):
    url = f"{service.base_url}{model}"
    return requests.post(url, json={"image": image, **body}, timeout=5).json()["data"]


def photio(service, **options):
    body = {"image": TEXT, "upscale_by": 4}
    url = f"{service.base_url}/v1/inference/upscale"
    return requests.post(url, json=body, timeout=5, **options)


def opened(data):
    return Image.open(io.BytesIO(data))
