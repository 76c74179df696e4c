"""What the vendors' operations mean here: each is done by the local engine.

Factors give exact sizes; 2k, 4k and 8k are long edges of 2048, 4096 and 8192 px and never shrink.
Where a vendor's model is not known, this server's own takes its place. Faces are restored where
OpenCV and the weights are here. Nothing is checked for decency: requests for that are answered with
null.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import equivalent
from ..contract.enlarging import SHIPPED_MODEL, Enlarging
from ..contract.extras import CODEFORMER, FACE_MODELS
from ..contract.operation import RemoteOperation
from ..contract.plan import Faces
from ..errors import InvalidInputError, ModelNotFoundError
from ..images import codecs
from ..images.pictures import Picture
from ..images.sizes import Size
from ..local.catalogue import ModelSpec, find_spec
from ..monitor import Monitor
from ..service import Service
from ..vendors import OPERATIONS

_BLOCK = 16  # sides of what JPEG packs together with subsampled colours


def missing_models(service: Service) -> list[ModelSpec]:
    """Return the models that vendors offer and that are not on this server, each once; of those
    that restore faces the ones that this server could use."""
    names = dict.fromkeys(name for kind in OPERATIONS for name in kind.known_models)
    absent = [name for name in names if service.library.find(name) is None]
    faces = [Faces(name, 1.0) for name in (FACE_MODELS[0], CODEFORMER)]
    absent += service.faces.absent([one for one in faces if not service.faces.obstacle([one])])
    return [spec for spec in map(find_spec, absent) if spec is not None]


def check_input(width: int, height: int, most_megapixels: int = 0) -> None:
    """Raise `InvalidInputError` for an image of more pixels than a key may send; 0: any."""
    most = min(most_megapixels * 1_000_000 or codecs.MOST_PIXELS, codecs.MOST_PIXELS)
    if width * height > most:
        raise InvalidInputError(
            "image",
            f"The image has {width} x {height} px, more than {most / 1e6:.0f} million; make it "
            "smaller.",
        )


def check(
    service: Service,
    operation: RemoteOperation,
    width: int,
    height: int,
    most_megapixels: int = 0,
    *,
    substitute: bool = False,
) -> equivalent.Models:
    """Return the models that will do an operation; raise `InvalidInputError` if it cannot be done.

    `most_megapixels` bounds the result of a key; 0: the server's own bound alone. With
    `substitute` the shipped model stands in for known ones that are not on this server.
    """
    alone = operation.only_there()
    if alone:
        raise InvalidInputError("body", f"This server cannot do {alone}; leave it out.")
    if isinstance(operation, Enlarging):
        equivalent.itself(operation)
    exact = isinstance(operation, Enlarging)  # what it promises no other model can keep
    models = _choose(service, operation, (width, height), substitute=substitute and not exact)
    _check_faces(service, operation.plan(width, height).faces)
    most = min(most_megapixels * 1_000_000 or codecs.MOST_PIXELS, codecs.MOST_PIXELS)
    wide, high = _largest(operation, width, height)
    if wide * high > most:
        raise InvalidInputError(
            "image",
            f"The result would have {wide} x {high} px, more than {most / 1e6:.0f} million; choose "
            "a smaller size.",
        )
    return models


def _choose(
    service: Service, operation: RemoteOperation, size: Size, *, substitute: bool
) -> equivalent.Models:
    models = {}
    for name in equivalent.asked_for(operation):
        found = service.library.find(name) is not None
        if not found and find_spec(name) is None:
            raise InvalidInputError(
                "model",
                f"There is no model {name[:80]} on this server, and none of that name is known; "
                "choose another one.",
            )
        if name not in equivalent.needed(operation, size):
            continue
        if not found and not substitute:
            raise InvalidInputError("model", _not_here(name))
        models[name] = name if found else SHIPPED_MODEL
    return models


def _check_faces(service: Service, faces: Sequence[Faces]) -> None:
    """Raise `InvalidInputError` if this server cannot restore faces by these models."""
    if not faces:
        return
    if text := service.faces.obstacle(faces):
        raise InvalidInputError("body", f"This server cannot restore faces: {text}")
    if absent := service.faces.absent(faces):
        raise InvalidInputError("model", _not_here(absent[0]))


def _not_here(name: str) -> str:
    return (
        f"The model {name} is not on this server yet; its owner can fetch it with "
        f"`upscale-bridge models download {name}` or `upscale-bridge serve --download`."
    )


def largest_result(operation: RemoteOperation, width: int, height: int) -> int:
    """Return a number of bytes that the file of a result never exceeds.

    Four numbers a pixel of JPEG's blocks, of two bytes where a client may get them as deep as it
    sent them, and what the formats add to pixels that cannot be packed:
    PNG a byte a row and five for every 16 kB (RFC 1950), all of them heads.
    """
    wide, high = (-(-side // _BLOCK) * _BLOCK for side in _largest(operation, width, height))
    pixels = 4 * wide * high * (2 if isinstance(operation, Enlarging) else 1) + high
    return pixels + pixels // 1000 + (64 << 10)


def _largest(operation: RemoteOperation, width: int, height: int) -> tuple[int, int]:
    """Return the size of the largest image that is made on the way to a result."""
    plan = operation.plan(width, height)
    return max(plan.size[0], plan.crop[0]), max(plan.size[1], plan.crop[1])


def carry_out(
    service: Service,
    operation: RemoteOperation,
    data: bytes,
    monitor: Monitor,
    models: equivalent.Models | None = None,
) -> Picture:
    """Do an operation to an encoded image, with the models that `check` returned."""
    decoded = codecs.decode(data, "the image", codecs.SERVER_FORMATS)
    image = decoded.pixels
    if models is None:  # a job that was stored without
        size = image.shape[1], image.shape[0]
        models = {name: name for name in equivalent.needed(operation, size)}
    faces = operation.plan(image.shape[1], image.shape[0]).faces
    for model in (*models.values(), *service.faces.files(faces)):
        if service.library.find(model) is None:
            raise ModelNotFoundError(f"The model {model} is not on this server any more.")
    pixels = service.equivalent.carry_out(operation, image[None], monitor, models).images[0]
    if isinstance(operation, Enlarging):
        return codecs.encode(pixels, bits=decoded.bits)
    if not operation.keeps_aspect():  # the WebUI crops in RGB
        colours = pixels if pixels.shape[-1] >= 3 else pixels[..., :1].expand(-1, -1, 3)
        pixels = colours[..., :3]
    format = operation.result_format
    if format == "jpeg" and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    return codecs.encode(pixels, format, quality=95)
