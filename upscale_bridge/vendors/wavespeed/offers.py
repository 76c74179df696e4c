"""What a server of ours offers in WaveSpeed's words: models with their schemas, prices, balance.

Facts: `models`, `schema`, `price` and `balance` of the official CLI 0.2.2 and of the vendor's MCP
server. Nothing costs here.
"""

from __future__ import annotations

from ...contract.fields import read_body
from ...contract.http import Call, Json
from ...errors import InvalidInputError
from ...params import Param
from .upscale import MODELS, WaveSpeedUpscale

_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "text": "string"}
_ABOUT = "Enlarges an image to 2k, 4k or 8k, on this server."


def models() -> list[Json]:
    """Return all models, as `GET /api/v3/models` tells of them."""
    return [_model(name, place) for place, name in enumerate(MODELS)]


def price(call: Call) -> Json:
    """Return what a model costs, in the words of model/price and of the older model/pricing.

    Raises `InvalidInputError` for a model that is not offered.
    """
    name = read_body(call).get("model_id")
    if name not in MODELS:
        raise InvalidInputError("model_id", f"There is no model {str(name)[:80]} on this server.")
    amounts = {"price": 0, "discounted_price": 0, "unit_price": 0}
    return {"model_id": name, **amounts, "currency": "USD"}


def _model(name: str, place: int) -> Json:
    return {
        "model_id": name,
        "name": name,
        "description": _ABOUT,
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
                    "request_schema": _schema(),
                }
            ]
        },
    }


def _schema() -> Json:
    never = ("model", *WaveSpeedUpscale.client_only)
    told = [item for item in WaveSpeedUpscale.params() if item.name not in never]
    own = [item for item in told if item.name in WaveSpeedUpscale.__annotations__]
    properties = {"image": {"type": "string", "description": "Its address, or a data URI."}}
    return {
        "type": "object",
        "properties": properties | {item.name: _property(item) for item in own},
        "required": ["image"],
        "x-order-properties": ["image", *(item.name for item in own)],
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
