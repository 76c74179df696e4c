"""What can be said about an operation before it is run; nothing is sent and nothing computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from .contract.enlarging import SHIPPED_MODEL
from .contract.operation import RemoteOperation
from .contract.plan import Faces
from .contract.shared import ANY_MODEL, DOWNLOAD, ERROR, RUN_LOCALLY
from .equivalent import needed
from .errors import InvalidInputError
from .images.sizes import Size
from .local.catalogue import find_spec
from .local.operation import LocalOperation
from .params import Operation
from .remote.encoding import sendable_size
from .texts import Text, Values

if TYPE_CHECKING:
    from .service import Service

_ANY_SIZE = (64, 64)  # of an image that is not known
Level = Literal["missing", "warning", "info"]


@dataclass(frozen=True)
class Note:
    """One sentence about what is missing or remarkable."""

    level: Level
    """missing: the run would fail."""
    text: Text
    way: Literal["", "key", "download", "price", "price now"] = ""
    """What the user may do at once: set the key of vendor `name`, download model `name`, ask for
    the price of a run; price now: the host asks by itself."""
    name: str = ""
    topic: Literal["", "price"] = ""
    """What it is about, for hosts that show prices apart."""


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
    if isinstance(operation, LocalOperation):
        notes = [
            note
            for name in operation.models()
            for note in _model_notes(service, name, operation.may_download)
        ]
        notes += _face_notes(service, operation.faces(), operation.may_download)
        return Advice(size and operation.target(*size), tuple(notes))
    if not isinstance(operation, RemoteOperation):
        return Advice(None, ())
    notes = [*_access_notes(service, operation, size), *_size_notes(operation, size)]
    notes += _option_notes(service, operation)
    if operation.when_unavailable != ERROR:
        notes += _local_notes(service, operation, size or _ANY_SIZE)
    notes += _price_notes(service, operation)
    return Advice(_result_size(service, operation, size), tuple(notes))


def _option_notes(service: Service, operation: RemoteOperation) -> list[Note]:
    """Return what is wrong with options that a catalogue describes, as far as it is known here."""
    if operation.catalogue is None:
        return []
    offers = service.client.offers
    model = next((one for one in offers.models(operation) if one.name == operation.own_model), None)
    if model is None:
        text = Text(
            "{model} is not in the list of {title}'s models that is known here; it is looked up "
            "when it runs.",
            {"model": operation.own_model, "title": operation.vendor.title},
        )
        return [Note("warning", text)]
    if model.schema is None:
        text = Text(
            "The parameters of {model} come with {title}'s live catalogue, which is read when a "
            "key is set.",
            {"model": operation.own_model, "title": operation.vendor.title},
        )
        return [Note("info", text)]
    try:
        model.schema.check(operation.inputs)
    except InvalidInputError as error:
        return [Note("missing", Text("{problem}", {"problem": str(error)}))]
    return [
        Note("warning", Text("The model names no parameter {name}; it is sent as it is.", values))
        for values in ({"name": name} for name in model.schema.unknown(operation.inputs))
    ]


def _price_notes(service: Service, operation: RemoteOperation) -> list[Note]:
    """Return what a run costs, or the way to ask for it."""
    client, vendor = service.client, operation.vendor
    told = operation.price if client.hosts.is_vendor(vendor) else None
    asked = operation.pricing is not None and not client.hosts.lacks_key(vendor)
    by_itself = asked and client.settings().show_prices
    if told is None and (not asked or (client.hosts.is_private(vendor) and not by_itself)):
        return []
    text = Text("{price}", {"price": told}) if told else Text("The service tells its price.")
    way: Literal["", "price", "price now"] = "price now" if by_itself else "price"
    return [Note("info", text, way if asked else "", topic="price")]


def ask_price(service: Service, operation: RemoteOperation) -> tuple[Text, ...]:
    """Ask the service what one image costs and what is left; nothing where it tells no price.

    It is not billed. Raises an `UpscaleError`.
    """
    offers = service.client.offers
    price = offers.price(operation)
    if price is None:
        return ()
    values = {"price": price.text}
    videos = operation.media == "video"
    told = Text("{price} per video.", values) if videos else Text("{price} per image.", values)
    left = offers.balance(operation)
    return (told, Text("{amount} are left.", {"amount": left.text})) if left else (told,)


def _result_size(service: Service, operation: RemoteOperation, size: Size | None) -> Size | None:
    """Return the size of a result; nobody knows that of an image which only its address names, nor
    what a service makes of a video."""
    if size is None or operation.image_address or operation.media == "video":
        return None
    if operation.result_size == "exact" or _runs_here(service, operation, size):
        return operation.target(*size)
    if not operation.promises_size():
        return None
    if operation.when_too_large == "fit":
        size = sendable_size(operation, *size)
    return operation.target(*size)


def _face_notes(service: Service, wanted: Sequence[Faces], may_download: bool) -> list[Note]:
    """Return what is missing to restore faces, and what licences say of it."""
    if text := service.faces.obstacle(wanted):
        return [Note("missing", Text("{problem}", {"problem": text}))]
    return [
        note
        for name in service.faces.files(wanted)
        for note in _model_notes(service, name, may_download)
    ]


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
    terms: Values = {"terms": spec.brief}
    first = Text("It will be downloaded first: {terms}.", terms)
    absent = Text("Not on this machine yet: {terms}.", terms)
    if spec.use != "upscale":  # nobody has named it, and it is not the only one
        terms = {"name": spec.name, **terms}
        first = Text("{name}, for faces, will be downloaded first: {terms}.", terms)
        absent = Text("{name}, for faces, is not on this machine yet: {terms}.", terms)
    if may_download:
        return [Note("info", first, "download", spec.name)]
    return [Note("missing", absent, "download", spec.name)]


def _runs_here(service: Service, operation: RemoteOperation, size: Size) -> bool:
    """Tell whether it is certain that this machine does the work, whose images are not shrunk."""
    client = service.client
    ended = bool(operation.retirement) and client.hosts.is_vendor(operation.vendor)
    usable = not client.hosts.lacks_key(operation.vendor) and (not ended or operation.deprecated)
    return not usable and service.equivalent.works(operation, size, operation.when_unavailable)


def _access_notes(service: Service, operation: RemoteOperation, size: Size | None) -> list[Note]:
    """Return what keeps the service from being used, and the ways on that are open."""
    vendor, client, machine = operation.vendor, service.client, service.equivalent
    size = size or _ANY_SIZE
    on = machine.works(operation, size, operation.when_unavailable)
    level: Level = "info" if on else "missing"
    notes = []
    if operation.retirement and client.hosts.is_vendor(vendor):
        values = {"retirement": operation.retirement, "variable": vendor.url_variable}
        ways = machine.other_ways(operation, size)
        text = Text("{retirement}. Name another host in {variable}.", values)
        if ways:
            text = Text(
                "{retirement}. Name another host in {variable}, or set when_unavailable to "
                "{choice}.",
                {**values, "choice": ways[0]},
            )
        notes.append(Note("info" if operation.deprecated else level, text))
        if not operation.deprecated:  # nobody is there to accept a key
            return notes
    if client.hosts.lacks_key(vendor):
        text = Text("There is no key for {title}.", {"title": vendor.title})
        notes.append(Note(level, text, "key", vendor.name))
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
            "The image is too large for this service ({width} × {height} px); it will be shrunk to "  # noqa: RUF001
            "{wide} × {high} px before sending.",  # noqa: RUF001
            values,
        )
        return [Note("warning", fitted)]
    refused = Text(
        "The image is too large for this service ({width} × {height} px); make it smaller, or set "  # noqa: RUF001
        "when_too_large to fit, which shrinks it to {wide} × {high} px.",  # noqa: RUF001
        values,
    )
    return [Note("missing", refused)]


def _local_notes(service: Service, operation: RemoteOperation, size: Size) -> list[Note]:
    """Return what runs here in place of the service."""
    if operation.only_there():
        return [Note("warning", Text("These settings cannot be run locally."))]
    faces, when = operation.plan(*size).faces, operation.when_unavailable
    if text := service.faces.obstacle(faces):
        return [Note("warning", Text("{problem}", {"problem": text}))]
    notes = [
        note for name in needed(operation, size) for note in _stand_in_notes(service, name, when)
    ]
    for name in service.faces.files(faces):
        notes += _stand_in_notes(service, name, RUN_LOCALLY if when == ANY_MODEL else when)
    return notes


def _stand_in_notes(service: Service, name: str, when: str) -> list[Note]:
    model = service.equivalent.candidates(name)[0] if when == ANY_MODEL else name
    values: Values = {"model": model, "wanted": name}
    if service.library.find(model) is not None:
        text = Text("When the service is unavailable, {model} runs here.", values)
        if model != name:
            text = Text(
                "When the service is unavailable, {model} runs here in place of {wanted}, which "
                "is not on this machine.",
                values,
            )
        return [Note("info", text), *_model_notes(service, model, may_download=False)]
    spec = find_spec(name)
    absent = Text("To run locally, {model} is needed, which is not on this machine.", values)
    if spec is None:
        return [Note("warning", absent)]
    if when == DOWNLOAD:
        first = Text(
            "When the service is unavailable, {model} is downloaded and runs here: {terms}.",
            {**values, "terms": spec.brief},
        )
        return [Note("info", first, "download", spec.name)]
    both = Text("{absent} It is {terms}.", {"absent": absent, "terms": spec.brief})
    return [Note("warning", both, "download", spec.name)]
