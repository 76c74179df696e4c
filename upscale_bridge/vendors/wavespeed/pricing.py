"""WaveSpeed's prices and balances.

Facts: `price` and `balance` of the official CLI 0.2.2 and of the vendor's MCP server. A quote that
lacks an input which the formula reads gives the least price.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...contract.http import Call, Json, Reply, post
from ...contract.pricing import Price, Pricing
from ...errors import BadReplyError
from .api import ROOT, WAVESPEED, read_data

if TYPE_CHECKING:
    from .operation import WaveSpeedOperation

PRICE, BALANCE = ROOT + "model/price", ROOT + "balance"


class WaveSpeedPricing(Pricing):
    """POST /api/v3/model/price and GET /api/v3/balance."""

    def ask(self, operation: WaveSpeedOperation, inputs: Json) -> Call:
        return post(PRICE, {"model_id": operation.own_model, "inputs": inputs})

    def read(self, reply: Reply) -> Price:
        return _price(read_data(reply), "discounted_price", "price", "unit_price")

    def ask_balance(self) -> Call:
        return Call("GET", BALANCE)

    def read_balance(self, reply: Reply) -> Price:
        return _price(read_data(reply), "balance")


def _price(data: Json, *names: str) -> Price:
    for name in names:
        value = data.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Price(float(value), str(data.get("currency") or "USD"))
    raise BadReplyError("WaveSpeed's answer names no amount.", provider=WAVESPEED.name)
