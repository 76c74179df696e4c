"""What the official `wavespeed` client makes of a server: python ... URL KEY IMAGE, prints JSON."""

import base64
import io
import json
import sys
from pathlib import Path

import requests
import wavespeed

URL, KEY, IMAGE = sys.argv[1:]
MODEL = "wavespeed-ai/image-upscaler"
SMALL = {"target_resolution": "2k", "output_format": "png"}


def error(call, *arguments, **more):
    """Return the words of the error that a call must end with."""
    try:
        return f"no error, but {call(*arguments, **more)}"
    except (RuntimeError, ValueError) as failure:
        return str(failure)


def fetch(url):
    """Return the file at an address, as base64."""
    reply = requests.get(url, timeout=60)
    reply.raise_for_status()
    return base64.b64encode(reply.content).decode()


def main():
    client = wavespeed.Client(KEY, base_url=URL, retry_interval=0.1)
    quick = {"poll_interval": 0.1, "timeout": 60.0}
    uploaded = client.upload(IMAGE)
    stream = client.upload(io.BytesIO(Path(IMAGE).read_bytes()))
    image = {"image": uploaded, **SMALL}
    asynchronous = client.run(MODEL, image, **quick)["outputs"]
    at_once = client.run_no_throw(MODEL, image, **quick, enable_sync_mode=True)
    told = client.run_no_throw(MODEL, {"image": stream, **SMALL}, **quick)
    in_base64 = {**image, "enable_base64_output": True}
    found = {
        "asynchronous": [fetch(url) for url in asynchronous],
        "told": told["status"],
        "told error": told["error"],
        "told outputs": [fetch(url) for url in told["outputs"] or ()],
        "result": client.get_result(told["task_id"])["data"]["status"],
        "at once": at_once["status"],
        "at once outputs": [fetch(url) for url in at_once["outputs"] or ()],
        "base64": client.run(MODEL, in_base64, **quick)["outputs"],
        "base64 at once": client.run(MODEL, in_base64, **quick, enable_sync_mode=True)["outputs"],
        "jpeg": [
            fetch(url)
            for url in client.run(MODEL, {**image, "output_format": "jpeg"}, **quick)["outputs"]
        ],
        "unknown model": error(client.run, "wavespeed-ai/no-such-model", image, **quick),
        "unknown model told": client.run_no_throw("wavespeed-ai/no-such-model", image, **quick),
        "missing image": error(client.run, MODEL, SMALL, **quick),
        "not an image": error(client.run, MODEL, {**image, "image": "bm8gaW1hZ2U="}, **quick),
        "unknown task": error(client.get_result, "no-such-task"),
        "wrong key": error(wavespeed.Client("wrong", base_url=URL).run, MODEL, image, **quick),
        "wrong key upload": error(wavespeed.Client("wrong", base_url=URL).upload, IMAGE),
    }
    json.dump(found, sys.stdout)


main()
