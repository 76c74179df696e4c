"""An operation of a remote service, as all hosts and this machine see it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from ..images import sizes
from ..images.sizes import Size
from ..params import Param, Value
from ..texts import Text
from .catalogue import Catalogue, Media
from .history import History
from .http import Json
from .plan import Enlarge, LocalPlan
from .pricing import Pricing
from .shared import SHARED, SharedParams
from .uploads import Uploads
from .vendor import Vendor
from .wire import TaskWire, Wire

Way = Literal["base64", "data_uri", "url", "upload"]


@dataclass(frozen=True)
class Limits:
    """What a service takes and gives; None where nothing is documented."""

    edge: int | None = None
    """Longest side of the image that is sent, pixels."""
    size: int | None = None
    """Largest encoded image, bytes."""
    result_edge: int | None = None
    """Longest side of the result, pixels."""
    seconds: float | None = None
    """Longest video."""


@dataclass(frozen=True, kw_only=True)
class RemoteOperation(SharedParams):
    """An operation of a remote service; subclasses are frozen dataclasses like all operations."""

    vendor: ClassVar[Vendor]
    wire: ClassVar[Wire]
    command: ClassVar[str]
    """The shell's word for it."""
    media: ClassVar[Media] = "image"
    """What it takes and gives."""
    uploads: ClassVar[Uploads | None] = None
    history: ClassVar[History | None] = None
    catalogue: ClassVar[Catalogue | None] = None
    """Where the parameter `model` is one of many that the vendor lists, that list; `options` are
    then the model's own parameters."""
    pricing: ClassVar[Pricing | None] = None
    size_parameter: ClassVar[str]
    """The parameter that decides how large the result is, its choices grow; empty for none."""
    model_parameter: ClassVar[str] = ""
    """The parameter whose choices are the vendor's models, which hosts may list apart; empty where
    there is but one, or any name is taken."""
    passed_on: ClassVar[tuple[str, ...]] = ()
    """Of the parameters that every remote operation has, those that the service is told."""
    free: ClassVar[bool] = False
    """Nobody sells it: it costs nothing wherever it is done."""
    deprecated: ClassVar[bool] = False
    """It still works, though its vendor advises against it."""
    known_models: ClassVar[tuple[str, ...]] = ()
    """Names that other machines have for the models that the vendor offers."""
    client_only: ClassVar[tuple[str, ...]] = ()
    """Own parameters that are never part of a request's body."""
    without_address: ClassVar[Mapping[str, Value]] = {}
    """Parameters under which it takes an image that has no public address."""
    largest_result: ClassVar[int] = 256 << 20
    """Bytes of a result's file; what is larger is none."""
    least_patience: ClassVar[float] = 0.0
    """Seconds for which a running task is waited for even if the settings say less."""
    retirement: ClassVar[str] = ""
    """What the vendor announced about the end of this API, one sentence with its date."""

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The parameters; those of every remote operation come last, unless `order` has them."""
        last = set(SHARED) - set(cls.order)
        return tuple(sorted(super().params(), key=lambda item: item.name in last))

    @classmethod
    def has_tasks(cls) -> bool:
        """Tell whether the service names a task, by which its result can be fetched later."""
        return isinstance(cls.wire, TaskWire)

    @property
    def limits(self) -> Limits:
        """What the service documents for these parameters."""
        return Limits()

    @property
    def price(self) -> Text | None:
        """What an image costs, a few words; None where the vendor does not tell."""
        return None

    @property
    def own_model(self) -> str:
        """The vendor's name of a model that nobody else has; empty for none."""
        return ""

    @property
    def inputs(self) -> Json:
        """What that model is told besides the image, as a catalogue or a price list reads it."""
        return {}

    @property
    def result_format(self) -> str:
        """The file format in which the result travels: png, jpeg or webp."""
        return "png"

    @property
    def result_seconds(self) -> float:
        """For how long the result is asked to be kept, seconds; 0 leaves it to the service."""
        return 0.0

    @property
    def image_address(self) -> str:
        """The URL in the parameter image_url, which may take the image's place; empty for none."""
        return ""

    @abstractmethod
    def ways(self) -> tuple[Way, ...]:
        """Return how the image may travel, best first."""

    def told(self) -> Json:
        """Return the parameters that the service is told."""
        values: Json = asdict(self)
        return {
            name: values[name] for name in values if name not in SHARED or name in self.passed_on
        }

    @abstractmethod
    def factor(self, width: int, height: int) -> float:
        """Return how many times as large an image becomes, before its size is rounded."""

    def target(self, width: int, height: int) -> Size:
        """Return the size in pixels that is asked for, given that of the image."""
        return sizes.enlarged((width, height), self.factor(width, height))

    def plan(self, width: int, height: int) -> LocalPlan:
        """Return how a machine that has the models does it to an image of this size."""
        size = self.target(width, height)
        (model,) = self.models()
        return LocalPlan((Enlarge(model, self.factor(width, height)),), size, size)

    def promises_size(self) -> bool:
        """Tell whether `target` is certain: documented by the service for these parameters."""
        return True

    def keeps_aspect(self) -> bool:
        """Tell whether the result shows the whole image in its own proportions."""
        return True

    def models(self) -> tuple[str, ...]:
        """Return the names that other machines have for the models; "" is the service's own."""
        return ("",)

    def only_there(self) -> str:
        """Return what can be done by the service alone; empty when other machines can do all."""
        return ""
