"""What `novita-client` 0.5.3 makes of a server's v2 API: python ... URL KEY IMAGE, prints JSON."""

import base64
import json
import sys

from novita_client import NovitaClient, UpscaleRequest, settings, utils
from novita_client.exceptions import NovitaResponseError
from novita_client.proto import UpscaleResizeMode

URL, KEY, IMAGE = sys.argv[1:]


def error(client, request):
    """Return the words of the error that a call must end with."""
    try:
        return f"no error, but {client.sync_upscale(request)}"
    except NovitaResponseError as failure:
        return str(failure)


def follow(client, request):
    """Upscale, wait and download; return what the client knows."""
    result = client.sync_upscale(request)
    return {
        "code": result.code.name,
        "status": result.data.status.name,
        "progress": result.data.progress,
        "reason": result.data.failed_reason,
        "info": result.data.info,
        "images": [base64.b64encode(data).decode() for data in result.data.imgs_bytes],
    }


def main():
    settings.DEFAULT_POLL_INTERVAL = 0.05
    client = NovitaClient(KEY, base_url=URL)
    image, ours = utils.input_image_to_base64(IMAGE), "UpscaleBridge-x4"
    sized = UpscaleRequest(
        image,
        ours,
        resize_mode=UpscaleResizeMode.SIZE,
        upscaling_resize_w=40,
        upscaling_resize_h=40,
        upscaling_crop=True,
    )
    found = {
        "factor": follow(client, UpscaleRequest(image, ours, upscaling_resize=2.0)),
        "size": follow(client, sized),
        "vendor's model": follow(client, UpscaleRequest(image, "R-ESRGAN 4x+")),
        "no model": follow(client, UpscaleRequest(image, "Lanczos", upscaling_resize=0.5)),
        "unknown model": error(client, UpscaleRequest(image, "no-such-model")),
        "missing image": error(client, UpscaleRequest("", ours)),
        "wrong key": error(NovitaClient("wrong", base_url=URL), UpscaleRequest(image, ours)),
    }
    json.dump(found, sys.stdout)


main()
