"""Any model of WaveSpeed's catalogue, with the options that its own schema describes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import ClassVar

from ...contract.catalogue import Catalogue
from ...contract.http import Json
from ...contract.operation import Limits
from ...contract.presets import PRESET_EDGES, preset_factor
from ...contract.schema import read_options
from ...errors import InvalidInputError
from ...params import param
from ...texts import Text
from .catalogue import WaveSpeedCatalogue, is_path
from .operation import LARGEST_FILE, WaveSpeedOperation

_COUNTS = ("num_images", "num_outputs", "n", "batch_size")
_FACTORS = ("desired_increase", "scale", "scale_factor", "upscale_factor")
MODEL_HELP = "The model's id in WaveSpeed's catalogue; the list is read from it where a key is set."
OPTIONS_HELP = (
    "The model's own parameters as a JSON object; what is left out has the model's default. They "
    "are checked against the vendor's catalogue before anything is sent."
)


@dataclass(frozen=True, kw_only=True)
class CatalogueOperation(WaveSpeedOperation):
    """What operations share whose parameters are those of a model in the catalogue."""

    sells: ClassVar[Catalogue]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_path(self.own_model):
            raise InvalidInputError(
                "model",
                "model must be an id of WaveSpeed's catalogue, such as "
                f"{self.sells.known[0].name}; got {self.own_model[:80]!r}.",
            )
        for name, value in self.inputs.items():
            self._check_input(name, value)

    def _check_input(self, name: str, value: object) -> None:
        if name == self.media:  # another file than that of the run
            raise InvalidInputError(
                "options", f"Leave {name} out of the options: it is what the run is given."
            )
        if name in _COUNTS and value not in (None, 1):
            raise InvalidInputError(
                "options",
                f"{name} must be 1 or left out: one result is taken for each {self.media}, and "
                "the others would be paid for nothing.",
            )

    @property
    def options_text(self) -> str:
        """The parameter `options`."""
        text: str = getattr(self, "options")  # noqa: B009 (subclasses declare it, in their order)
        return text

    @property
    def inputs(self) -> Json:
        return read_options(self.options_text)

    def told(self) -> Json:
        """Return the parameters that the service is told; the same options always look the same."""
        options = json.dumps(self.inputs, sort_keys=True, separators=(",", ":"))
        return {**super().told(), "options": options}

    @property
    def price(self) -> Text | None:
        model = self.sells.find(self.own_model)
        if model is None or not model.price:
            return None
        return Text("{amount} (WaveSpeed's list price of 2026)", {"amount": model.price})

    @property
    def completed(self) -> Json:
        """The inputs with the defaults of those that were left out, as far as they are known."""
        model = self.sells.find(self.own_model)
        schema = model.schema if model else None
        return schema.complete(self.inputs) if schema else self.inputs


@dataclass(frozen=True)
class WaveSpeedUpscaleAny(CatalogueOperation):
    """Enlarge or restore images with any such model that WaveSpeed sells, by its own options."""

    title: ClassVar[str] = "WaveSpeed Upscale Any"
    command: ClassVar[str] = "wavespeed-any"
    size_parameter: ClassVar[str] = ""
    sells: ClassVar[Catalogue] = WaveSpeedCatalogue("image")
    catalogue: ClassVar[Catalogue | None] = sells

    model: str = param(
        "wavespeed-ai/image-upscaler",
        MODEL_HELP,
    )
    options: str = param("{}", OPTIONS_HELP)

    @property
    def limits(self) -> Limits:
        return Limits(edge=PRESET_EDGES.get(self._preset), size=LARGEST_FILE)

    @property
    def _preset(self) -> str:
        return str(self.completed.get("target_resolution", ""))

    def _times(self) -> float | None:
        """Return the factor that the options name."""
        found = (self.completed.get(name) for name in _FACTORS)
        numbers = (one for one in found if isinstance(one, (int, float)) and one > 0)
        return next((float(one) for one in numbers if one is not True), None)

    def promises_size(self) -> bool:
        return self._preset in PRESET_EDGES or self._times() is not None

    def factor(self, width: int, height: int) -> float:
        if self._preset in PRESET_EDGES:
            return preset_factor(self._preset, width, height)
        pixels = self.completed.get("target_megapixels")
        if isinstance(pixels, (int, float)) and 0 < pixels < 1e6:
            return math.sqrt(pixels * 1e6 / (width * height))
        return self._times() or 1.0

    def only_there(self) -> str:
        if self.promises_size() or "target_megapixels" in self.completed:
            return ""
        return "no size in the options, so nobody knows how large the result is"
