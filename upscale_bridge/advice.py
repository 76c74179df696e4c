"""What can be said about an operation before it is run; nothing is sent and nothing computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from .exchange import sendable_size
from .local.catalogue import find_spec
from .local.operation import SHIPPED_MODEL, LocalUpscale
from .params import Operation
from .remote.provider import RemoteOperation
from .sizes import Size
from .texts import Text, Values

if TYPE_CHECKING:
    from .service import Service

Level = Literal["missing", "warning", "info"]


@dataclass(frozen=True)
class Note:
    """One sentence about what is missing or remarkable."""

    level: Level
    """missing: the run would fail."""
    text: Text
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
    price = operation.price
    if price and service.client.is_vendor(operation.provider):
        notes.append(Note("info", Text("{price}.", {"price": price})))
    return Advice(_result_size(operation, size), tuple(notes))


def _result_size(operation: RemoteOperation, size: Size | None) -> Size | None:
    """Return the size of a result; nobody knows that of an image which only its address names."""
    if size is None or operation.image_address:
        return None
    if operation.result_size == "exact":
        return operation.target(*size)
    if operation.when_too_large == "fit":
        size = sendable_size(operation, *size)
    return operation.target(*size)


def _model_notes(service: Service, name: str, may_download: bool) -> list[Note]:
    spec, found = find_spec(name), service.library.find(name)
    if found is not None:
        if spec is None or spec.commercial_use:
            return []
        values: Values = {"name": spec.name, "licence": spec.licence}
        return [Note("info", Text("{name} has the licence {licence}: no commercial use.", values))]
    if spec is None:
        unknown = Text(
            "There is no model '{name}' here. Put its file into a model folder, or choose "
            "{shipped}, which is always there.",
            {"name": name, "shipped": SHIPPED_MODEL},
        )
        return [Note("missing", unknown)]
    terms = {"terms": spec.terms}
    if may_download:
        first = Text("It will be downloaded first. {terms}.", terms)
        return [Note("info", first, "download", spec.name)]
    absent = Text("Not on this machine yet. {terms}.", terms)
    return [Note("missing", absent, "download", spec.name)]


def _key_notes(service: Service, operation: RemoteOperation) -> list[Note]:
    provider, client = operation.provider, service.client
    here = operation.when_unavailable == "run locally"
    level: Level = "info" if here else "missing"
    notes = []
    if operation.retirement and client.is_vendor(provider):
        values = {"retirement": operation.retirement, "variable": provider.url_variable}
        ways = (
            Text("{retirement}. Name another host in {variable}.", values)
            if here
            else Text(
                "{retirement}. Name another host in {variable}, or set when_unavailable to run "
                "locally.",
                values,
            )
        )
        notes.append(Note("info" if operation.deprecated else level, ways))
        if not operation.deprecated:  # nobody is there to accept a key
            return notes
    if client.lacks_key(provider):
        text = Text("There is no key for {title}.", {"title": provider.title})
        notes.append(Note(level, text, "key", provider.name))
    return notes


def _size_notes(operation: RemoteOperation, size: Size | None) -> list[Note]:
    if size is None or operation.image_address:
        return []
    allowed = sendable_size(operation, *size)
    if allowed == size:
        return []
    values = {"width": size[0], "height": size[1], "wide": allowed[0], "high": allowed[1]}
    if operation.when_too_large == "fit":
        fitted = Text(
            "The image is too large for this service ({width} x {height} px); it will be shrunk to "
            "{wide} x {high} px before sending.",
            values,
        )
        return [Note("warning", fitted)]
    refused = Text(
        "The image is too large for this service ({width} x {height} px); make it smaller, or set "
        "when_too_large to fit, which shrinks it to {wide} x {high} px.",
        values,
    )
    return [Note("missing", refused)]


def _local_notes(service: Service, operation: RemoteOperation) -> list[Note]:
    equivalent = operation.equivalent(64, 64)
    if equivalent is None:
        return [Note("warning", Text("These settings cannot be run locally."))]
    model = equivalent.model or SHIPPED_MODEL
    values: Values = {"model": model}
    if service.library.find(model) is not None:
        return [Note("info", Text("When the service is unavailable, {model} runs here.", values))]
    absent = Text("To run locally, {model} is needed, which is not on this machine.", values)
    spec = find_spec(model)
    if spec is None:
        return [Note("warning", absent)]
    both = Text("{absent} {terms}.", {"absent": absent, "terms": spec.terms})
    return [Note("warning", both, "download", spec.name)]
