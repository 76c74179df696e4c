"""What a server of ours offers in WaveSpeed's words: models with their schemas, prices, balance.

Facts: `models`, `schema`, `price` and `balance` of the official CLI 0.2.2 and of the vendor's MCP
server. Nothing costs here.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...contract.fields import read_body
from ...contract.http import Call, Json
from ...errors import InvalidInputError
from ...params import Param
from . import bridge
from .upscale import MODELS, WaveSpeedUpscale

_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "text": "string"}
_ABOUT = "Enlarges an image to 2k, 4k or 8k, on this server."
_ABOUT_OWN = "Enlarges an image to any size by any model of this server."


def models() -> list[Json]:
    """Return all models, as `GET /api/v3/models` tells of them."""
    schema = _schema(_vendors_own())
    found = [_model(name, place, _ABOUT, schema) for place, name in enumerate(MODELS)]
    own = _schema(bridge.told_params()) | {"additionalProperties": False}
    return [*found, _model(bridge.MODEL, len(MODELS), _ABOUT_OWN, own)]


def price(call: Call) -> Json:
    """Return what a model costs, in the words of model/price and of the older model/pricing.

    Raises `InvalidInputError` for a model that is not offered.
    """
    name = read_body(call).get("model_id")
    if name not in (*MODELS, bridge.MODEL):
        raise InvalidInputError("model_id", f"There is no model {str(name)[:80]} on this server.")
    amounts = {"price": 0, "discounted_price": 0, "unit_price": 0}
    return {"model_id": name, **amounts, "currency": "USD"}


def _model(name: str, place: int, about: str, schema: Json) -> Json:
    return {
        "model_id": name,
        "name": name,
        "description": about,
        "type": "image-to-image",
        "base_price": 0,
        "formula": "",
        "sort_order": place,
        "api_schema": {
            "api_schemas": [
                {
                    "type": "model_run",
                    "method": "POST",
                    "api_path": f"/api/v3/{name}",
                    "request_schema": schema,
                }
            ]
        },
    }


def _vendors_own() -> list[Param]:
    never = ("model", *WaveSpeedUpscale.client_only)
    told = [item for item in WaveSpeedUpscale.params() if item.name not in never]
    return [item for item in told if item.name in WaveSpeedUpscale.__annotations__]


def _schema(told: Sequence[Param]) -> Json:
    properties = {"image": {"type": "string", "description": "Its address, or a data URI."}}
    return {
        "type": "object",
        "properties": properties | {item.name: _property(item) for item in told},
        "required": ["image"],
        "x-order-properties": ["image", *(item.name for item in told)],
    }


def _property(item: Param) -> Json:
    found: Json = {
        "type": _TYPES.get(item.kind, "string"),
        "default": item.default,
        "description": item.help,
    }
    if item.choices:
        found["enum"] = list(item.choices)
    bounds = {"minimum": item.minimum, "maximum": item.maximum}
    return found | {name: value for name, value in bounds.items() if value is not None}
