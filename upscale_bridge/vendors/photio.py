"""Photio's synchronous API: one call, no task id, the result in the answer.

Facts: https://docs.photio.io/api/upscale. The status stands in the answer's `status_code`;
whether HTTP mirrors it is not documented, so both are read.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import urlsplit

from ..contract.fields import make, read_body, required
from ..contract.http import Call, Reply, answer, post
from ..contract.operation import Limits, RemoteOperation, Way
from ..contract.reading import read_base64, whole
from ..contract.registry import VendorEntry
from ..contract.server import Request, Submit, SyncServerWire
from ..contract.tasks import Done, Output, Source
from ..contract.vendor import Vendor
from ..contract.wire import Wire
from ..errors import BadReplyError
from ..params import param, share

PHOTIO = Vendor(
    name="photio",
    title="Photio",
    base_url="https://api.photio.io",
    key_page="https://photio.io",
    auth_header="X-Photio-Key",
    auth_scheme="",
)
_PATH = "/v1/inference/upscale"


class PhotioWire(Wire):
    """POST /v1/inference/upscale."""

    has_tickets = False

    def submit(self, operation: PhotioUpscale, source: Source) -> Call:
        return post(
            _PATH,
            {
                "image": source.text,
                "upscale_by": int(operation.upscale_by),
                "prompt": operation.prompt,
                "negative_prompt": operation.negative_prompt,
                "quality": operation.quality,
                "denoising_strength": operation.denoising_strength,
            },
        )

    def read_submit(self, reply: Reply) -> Done:
        if reply.status != 200:
            PHOTIO.refuse(reply, str(reply.fields().get("body") or ""))
        fields = reply.json()
        status, body = whole(fields.get("status_code"), default=200), fields.get("body")
        if status != 200:
            PHOTIO.refuse(replace(reply, status=status), str(body or ""))
        if not isinstance(body, str) or not body:
            raise BadReplyError("Photio's answer holds no image.", provider="photio")
        return Done((Output(data=read_base64(body)),))


@dataclass(frozen=True)
class PhotioUpscale(RemoteOperation):
    """Enlarge images two or four times with Photio, or a host that speaks its API."""

    title: ClassVar[str] = "Photio Upscale"
    vendor: ClassVar[Vendor] = PHOTIO
    wire: ClassVar[Wire] = PhotioWire()
    command: ClassVar[str] = "photio"
    size_parameter: ClassVar[str] = "upscale_by"
    client_only: ClassVar[tuple[str, ...]] = ("image_url",)

    upscale_by: str = param(
        "2",
        "Size of the result relative to the input: 2 paints detail by diffusion, 4 uses a GAN.",
        choices=("2", "4"),
    )
    prompt: str = param("", "A short description of the image, in English; helps at 2.")
    negative_prompt: str = param(
        "worst quality, low quality, illustration, 3d, 2d, painting, cartoons, sketch",
        "What must not appear, in English. Empty means the service's default, which is this text.",
        advanced=True,
    )
    quality: str = param("LOW", "More detail takes more time.", choices=("LOW", "MIDDLE", "HIGH"))
    denoising_strength: float = share(
        0.2,
        "Sent as it is. Photio calls it similarity: towards 0 the result differs more, towards 1 "
        "it stays closer to the input. That is the reverse of what the name means elsewhere.",
    )
    image_url: str = param(
        "",
        "Address under which the service finds the image, in place of sending the image input.",
        advanced=True,
    )

    @property
    def limits(self) -> Limits:
        return Limits(result_edge=4096)  # "limited by 4K", read as the long edge

    @property
    def image_address(self) -> str:
        return self.image_url

    def ways(self) -> tuple[Way, ...]:
        return ("base64",)

    def factor(self, width: int, height: int) -> float:
        return float(self.upscale_by)


class PhotioServer(SyncServerWire):
    """POST /v1/inference/upscale."""

    roots = ("/v1/",)
    operations = (PhotioUpscale,)
    lifetime = 600.0

    def read(self, call: Call) -> Request | None:
        if call.method != "POST" or urlsplit(call.url).path != _PATH:
            return None
        body = read_body(call)
        image = required(body, "image")
        is_url = image.startswith(("http://", "https://"))
        source = Source("url" if is_url else "base64", image)
        return Submit(make(PhotioUpscale, body), source)

    def write_result(self, output: Output) -> Reply:
        return answer({"status_code": 200, "body": base64.b64encode(output.data).decode()})

    def write_error(self, status: int, message: str) -> Reply:
        return answer({"status_code": status, "body": message}, status)


ENTRY = VendorEntry(PHOTIO, (PhotioUpscale,), (PhotioServer(),))
