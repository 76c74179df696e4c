"""What only servers of ours offer in WaveSpeed's words: the local operation, done there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...contract.catalogue import Catalogue, CatalogueModel, Media
from ...contract.enlarging import Enlarging
from ...contract.history import History
from ...contract.http import Call, Json, Reply, post
from ...contract.operation import Way
from ...contract.plan import Enlarge, LocalPlan
from ...contract.pricing import Pricing
from ...contract.reading import table
from ...contract.uploads import Uploads
from ...contract.vendor import Vendor
from ...contract.wire import Wire
from ...errors import BadReplyError, ProviderError
from ...params import Param
from .api import DELETE, WAVESPEED, read_data_list
from .catalogue import PATH, schema_of
from .operation import WaveSpeedOperation, WaveSpeedWire

MODEL = "upscale-bridge/local"
_FIRST_POLL = 0.25  # seconds; a look costs a server of ours a millisecond
_NOT_TOLD = "download"  # nobody makes another machine fetch a model


class _OwnServer(Vendor):
    """WaveSpeed's API on servers of ours; its settings and keys, unless a run names others."""

    @property
    def key_variable(self) -> str:
        return f"--key-from, or {super().key_variable}"

    @property
    def url_variable(self) -> str:
        return f"--server, or {super().url_variable}"

    @property
    def key_advice(self) -> str:
        return (
            "Name the environment variable that holds a key of that server with --key-from; keys "
            "are made there, by `upscale-bridge server-keys add NAME`."
        )

    def key_missing(self, file: str) -> str:
        return f"A server at a public address wants a key. {self.key_advice}"


BRIDGE = _OwnServer(
    WAVESPEED.name, "Upscale Bridge", base_url="", key_page="", first_poll=_FIRST_POLL
)


class BridgeWire(WaveSpeedWire):
    """A server of ours has room for so many tasks, which the next ones need."""

    def drop(self, ticket: str) -> Call | None:
        return post(DELETE, {"ids": [ticket]})


class BridgeCatalogue(Catalogue):
    """The one model of ours in the list of a server; without it the server is none of ours."""

    media: Media = "image"
    known: tuple[CatalogueModel, ...] = ()

    def ask(self) -> Call:
        return Call("GET", PATH)

    def read(self, reply: Reply) -> tuple[CatalogueModel, ...]:
        try:
            models = map(table, read_data_list(reply, BRIDGE))
        except ProviderError as error:
            elsewhere = isinstance(error, BadReplyError) and reply.status == 200
            if elsewhere or reply.status in (404, 405):
                raise _foreign(reply) from error
            raise
        found = next((one for one in models if one.get("model_id") == MODEL), {})
        schema = schema_of(found, self.media)
        if schema is None:
            raise _foreign(reply)
        return (CatalogueModel(MODEL, schema),)


def _foreign(reply: Reply) -> ProviderError:
    return ProviderError(
        f"What answers there does not offer {MODEL}: it is no server of Upscale Bridge, or one of "
        f"an older release. Check {BRIDGE.url_variable}, or update the server.",
        provider=BRIDGE.name,
        status=reply.status,
    )


@dataclass(frozen=True)
class UpscaleBridgeLocal(Enlarging, WaveSpeedOperation):
    """Enlarge images on a server of ours as this machine would, with the models that are there."""

    title: ClassVar[str] = "Local ESRGAN Upscale on a Server"
    command: ClassVar[str] = "local"
    vendor: ClassVar[Vendor] = BRIDGE
    wire: ClassVar[Wire] = BridgeWire(BRIDGE)
    uploads: ClassVar[Uploads | None] = None
    history: ClassVar[History | None] = None
    """Its servers know a submit again by its Idempotency-Key."""
    pricing: ClassVar[Pricing | None] = None
    catalogue: ClassVar[Catalogue | None] = BridgeCatalogue()
    size_parameter: ClassVar[str] = "size_by"
    passed_on: ClassVar[tuple[str, ...]] = ("colour_match",)
    free: ClassVar[bool] = True
    largest_result: ClassVar[int] = 1 << 30  # four numbers of 16 bits for each of 89 million pixels

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The parameters; a server fetches no models because a client says so."""
        return tuple(item for item in super().params() if item.name != _NOT_TOLD)

    @property
    def own_model(self) -> str:
        return MODEL

    @property
    def inputs(self) -> Json:
        return self.told()

    def told(self) -> Json:
        """Return what is not the default, so that servers of other releases take it as well."""
        default = {item.name: item.default for item in told_params()}
        told = super().told()
        return {name: told[name] for name, value in default.items() if told[name] != value}

    def ways(self) -> tuple[Way, ...]:
        """Return the way that leaves nothing behind on the server but the task."""
        return ("data_uri",)

    def keeps_aspect(self) -> bool:
        return not self.crops_or_stretches

    def plan(self, width: int, height: int) -> LocalPlan:
        """Return which models it takes and how large it gets; what is done is the operation's own
        affair."""
        other, share = self.mix()
        factor, size = self.factor(width, height), self.target(width, height)
        models = ((self.model, 1 - share), (other, share)) if other else ((self.model, 1.0),)
        return LocalPlan(tuple(Enlarge(name, factor, part) for name, part in models), size, size)


def told_params() -> tuple[Param, ...]:
    """Return the parameters that a server of ours is told."""
    return tuple(item for item in Enlarging.params() if item.name != _NOT_TOLD)
