"""What can be said about an operation before it is run; nothing is sent and nothing computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from .exchange import sendable_size
from .local.catalogue import find_spec
from .local.operation import SHIPPED_MODEL, LocalUpscale
from .params import Operation
from .remote.provider import RemoteOperation

if TYPE_CHECKING:
    from .service import Service

Size = tuple[int, int]
Level = Literal["missing", "warning", "info"]


@dataclass(frozen=True)
class Note:
    """One sentence about what is missing or remarkable."""

    level: Level
    """missing: the run would fail."""
    text: str
    way: Literal["", "key", "download"] = ""
    """What the user may do at once: set the key of provider `name`, download model `name`."""
    name: str = ""


@dataclass(frozen=True)
class Advice:
    """All that is known before a run."""

    size: Size | None
    """(width, height) of the result, None when that of the image is not known."""
    notes: tuple[Note, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def advise(service: Service, operation: Operation, size: Size | None) -> Advice:
    """Return what is known about `operation` on an image of `size` (width, height)."""
    if isinstance(operation, LocalUpscale):
        enlarged = size and operation.target(*size)
        return Advice(enlarged, tuple(_model_notes(service, operation.model, operation.download)))
    if not isinstance(operation, RemoteOperation):
        return Advice(None, ())
    notes = [*_key_notes(service, operation), *_size_notes(operation, size)]
    if operation.when_unavailable == "run locally":
        notes += _local_notes(service, operation)
    if operation.price and service.client.is_vendor(operation.provider):
        notes.append(Note("info", f"{operation.price}."))
    return Advice(_result_size(operation, size), tuple(notes))


def _result_size(operation: RemoteOperation, size: Size | None) -> Size | None:
    """Return the size of a result; nobody knows that of an image which only its address names."""
    if size is None or operation.image_address:
        return None
    if operation.result_size == "exact":
        return operation.target(*size)
    if operation.when_too_large == "fit":
        size = sendable_size(operation, *size)
    wide, high = (side // operation.grid * operation.grid for side in operation.target(*size))
    return wide, high


def _model_notes(service: Service, name: str, may_download: bool) -> list[Note]:
    spec, found = find_spec(name), service.library.find(name)
    if found is not None:
        if spec is None or spec.commercial_use:
            return []
        return [Note("info", f"{spec.name} has the licence {spec.licence}: no commercial use.")]
    if spec is None:
        text = f"There is no model {name!r} here. Put its file into a model folder, or choose"
        return [Note("missing", f"{text} {SHIPPED_MODEL}, which is always there.")]
    if may_download:
        return [Note("info", f"It will be downloaded first. {spec.terms}.", "download", spec.name)]
    return [Note("missing", f"Not on this machine yet. {spec.terms}.", "download", spec.name)]


def _key_notes(service: Service, operation: RemoteOperation) -> list[Note]:
    provider, client = operation.provider, service.client
    here = operation.when_unavailable == "run locally"
    level: Level = "info" if here else "missing"
    notes = []
    if operation.retirement and client.is_vendor(provider):
        ways = f"Name another host in {provider.url_variable}"
        ways += "." if here else ", or set when_unavailable to run locally."
        notes.append(
            Note("info" if operation.deprecated else level, f"{operation.retirement}. {ways}")
        )
        if not operation.deprecated:  # nobody is there to accept a key
            return notes
    if client.lacks_key(provider):
        text = f"There is no key for {provider.title}."
        notes.append(Note(level, text, "key", provider.name))
    return notes


def _size_notes(operation: RemoteOperation, size: Size | None) -> list[Note]:
    if size is None or operation.image_address:
        return []
    allowed = sendable_size(operation, *size)
    if allowed == size:
        return []
    text = f"The image is too large for this service ({size[0]} x {size[1]} px)"
    shrunk = f"{allowed[0]} x {allowed[1]} px"
    if operation.when_too_large == "fit":
        return [Note("warning", f"{text}; it will be shrunk to {shrunk} before sending.")]
    way = "make it smaller, or set when_too_large to fit, which shrinks it to"
    return [Note("missing", f"{text}; {way} {shrunk}.")]


def _local_notes(service: Service, operation: RemoteOperation) -> list[Note]:
    equivalent = operation.equivalent(64, 64)
    if equivalent is None:
        return [Note("warning", "These settings cannot be run locally.")]
    model = equivalent.model or SHIPPED_MODEL
    if service.library.find(model) is not None:
        return [Note("info", f"When the service is unavailable, {model} runs here.")]
    spec = find_spec(model)
    text = f"To run locally, {model} is needed, which is not on this machine"
    if spec is None:
        return [Note("warning", f"{text}.")]
    return [Note("warning", f"{text} yet. {spec.terms}.", "download", spec.name)]
