"""What a service sells and what it asks for it; asking is not billed.

POST /upscale_bridge/model    {"node": "WaveSpeedUpscaleAny", "model": "..."}
    {"models": [...], "fields": [...] or null}: all models, and the parameters of one, for the
    node's form; null where nobody knows them.
    Where a key is set, a list that is old is asked for anew meanwhile.
POST /upscale_bridge/price    {"node": ..., "values": {...}}; asks the service
    {"texts": [what one image costs, what is left]}; none where the service tells no price

Event `upscale_bridge.models`: the lists of models are new.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..upscale_bridge.contract.http import Json
from ..upscale_bridge.contract.operation import RemoteOperation
from ..upscale_bridge.contract.schema import SchemaField
from ..upscale_bridge.errors import InvalidInputError
from ..upscale_bridge.preflight import ask_price
from . import host
from .advice_routes import KINDS, operation_of
from .http import PREFIX, Handler, telling

EVENT = "upscale_bridge.models"
_HIDDEN = ("enable_sync_mode", "enable_base64_output")  # they shape the answer, not the result


def model(body: Json) -> Json:
    """Return all models' names and the parameters of one."""
    kind = KINDS.get(str(body.get("node")))
    if kind is None or not issubclass(kind, RemoteOperation) or kind.catalogue is None:
        raise InvalidInputError("node", "There is no such node.")
    client = host.service().client
    if not client.hosts.lacks_key(kind.vendor):
        client.offers.refresh_beside(kind, lambda: host.tell_page(EVENT, {}))
    models = {one.name: one for one in client.models(kind)}
    found = models.get(str(body.get("model")))
    fields = None if found is None or found.schema is None else found.schema.fields
    drawn = None if fields is None else [_draw(one) for one in fields if one.name not in _HIDDEN]
    return {"models": list(models), "fields": drawn}


def price(body: Json) -> Json:
    """Return what one image costs and what is left on the account, no texts where nobody knows."""
    operation = operation_of(body)
    if not isinstance(operation, RemoteOperation):
        raise InvalidInputError("node", "There is no such node.")
    return {"texts": [dataclasses.asdict(text) for text in ask_price(host.service(), operation)]}


def _draw(one: SchemaField) -> dict[str, Any]:
    return {
        "name": one.name,
        "kinds": one.kinds,
        "choices": one.choices,
        "default": one.default,
        "minimum": one.minimum,
        "maximum": one.maximum,
        "help": one.help,
        "required": one.required,
    }


ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", f"{PREFIX}/model"): telling(model),
    ("POST", f"{PREFIX}/price"): telling(price),
}
