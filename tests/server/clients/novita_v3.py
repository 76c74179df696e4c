"""What `novita-client` 0.7 makes of a server's v3 API: python ... URL KEY IMAGE, prints JSON.

No release has a method for v3's upscale; how it sends, polls, reads and downloads is used.
"""

import json
import sys

from novita_client import NovitaClient, proto, settings, utils
from novita_client.exceptions import NovitaResponseError

URL, KEY, IMAGE = sys.argv[1:]
SUBMIT, TO_SIZE = "/v3/async/upscale", "/v3/async/image-upscaler"


def error(call, *arguments):
    """Return the words of the error that a call must end with."""
    try:
        return f"no error, but {call(*arguments)}"
    except NovitaResponseError as failure:
        return str(failure)


def follow(client, path, body):
    """Submit, wait and download as the client does for its own methods; return what it knows."""
    ticket = proto.V3AsyncSubmitResponse.from_dict(client._post(path, body)).task_id
    seen = []
    result = client.wait_for_task_v3(ticket, 120, seen.append)
    result.download_images()
    return {
        "status": result.task.status.value,
        "reason": result.task.reason,
        "percent": result.task.progress_percent,
        "seen": sorted({one.task.status.value for one in seen}),
        "type": [image.image_type for image in result.images],
        "lifetime": [str(image.image_url_ttl) for image in result.images],
        "videos": result.videos,
        "extra": result.extra is not None,
        "images": result.images_encoded,
    }


def main():
    settings.DEFAULT_POLL_INTERVAL = 0.05
    client = NovitaClient(KEY, base_url=URL)
    data = utils.input_image_to_base64(IMAGE)
    request = {"model_name": "4x-UltraSharp", "scale_factor": 2, "image_base64": data}
    found = {
        "factor": follow(
            client, SUBMIT, {"extra": {"response_image_type": "png"}, "request": request}
        ),
        "size": follow(
            client,
            TO_SIZE,
            {
                "image": f"data:image/png;base64,{data}",
                "resolution": "2k",
                "output_format": "png",
            },
        ),
        "unknown model": error(
            client._post, SUBMIT, {"request": {**request, "model_name": "no-such-model"}}
        ),
        "missing image": error(client._post, SUBMIT, {"request": {**request, "image_base64": ""}}),
        "unknown task": error(client.async_task_result, "no-such-task"),
        "unknown address": error(client._post, "/v3/async/txt2video", {}),
        "wrong key": error(NovitaClient("wrong", base_url=URL)._post, SUBMIT, {"request": request}),
    }
    json.dump(found, sys.stdout)


main()
