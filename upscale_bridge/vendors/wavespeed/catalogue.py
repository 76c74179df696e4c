"""WaveSpeed's list of models: which of them enlarge or restore an image or a video.

Facts: `models` of the official CLI 0.2.2, list_models of the vendor's MCP server.
"""

from __future__ import annotations

import re

from ...contract.catalogue import Catalogue, CatalogueModel, Media
from ...contract.http import Call, Json, Reply
from ...contract.pricing import money
from ...contract.reading import listed, table
from ...contract.schema import Schema, read_schema
from .api import ROOT, read_data_list
from .known_models import IMAGE_MODELS, VIDEO_MODELS

PATH = ROOT + "models"
_OURS = re.compile(r"upscal|enhanc|super[- ]?resolution", re.IGNORECASE)
_KNOWN = {"image": IMAGE_MODELS, "video": VIDEO_MODELS}


class WaveSpeedCatalogue(Catalogue):
    """GET /api/v3/models."""

    def __init__(self, media: Media) -> None:
        self.media = media
        self.known = _KNOWN[media]

    def ask(self) -> Call:
        return Call("GET", PATH)

    def read(self, reply: Reply) -> tuple[CatalogueModel, ...]:
        models = [table(item) for item in read_data_list(reply)]
        models.sort(key=_place)
        found = (self._model(item) for item in models if self._is_ours(item))
        return tuple(model for model in found if model is not None)

    def _is_ours(self, item: Json) -> bool:
        name = item.get("model_id")
        if not isinstance(name, str) or not is_path(name):
            return False
        kind = str(item.get("type") or "")
        if not kind.endswith(f"to-{self.media}") and not _OURS.search(kind):
            return False
        texts = (name, item.get("name"), item.get("description"))
        known = {model.name for model in self.known}
        return name in known or any(_OURS.search(str(text or "")) for text in texts)

    def _model(self, item: Json) -> CatalogueModel | None:
        """Return a model, None for one that takes no file of this kind by itself."""
        schema = schema_of(item, self.media)
        if schema is None:
            return None
        price = item.get("base_price")
        return CatalogueModel(
            str(item["model_id"]),
            schema,
            " ".join(str(item.get("description") or item.get("name") or "").split()),
            f"from {money(price)}" if isinstance(price, (int, float)) and price > 0 else "",
            str(item.get("formula") or ""),
        )


def schema_of(item: Json, media: Media) -> Schema | None:
    """Return the parameters of a model of the list, None for one that takes no such file."""
    schemas = [table(one) for one in listed(table(item.get("api_schema")).get("api_schemas"))]
    first = schemas[0] if schemas else {}
    return read_schema(first.get("request_schema"), (media,))


def _place(item: Json) -> float:
    place = item.get("sort_order")
    return float(place) if isinstance(place, (int, float)) else 1e9


def is_path(name: str) -> bool:
    """Tell whether a model's id is good for an address: nothing in it leads elsewhere."""
    return re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)+", name, re.ASCII) is not None
