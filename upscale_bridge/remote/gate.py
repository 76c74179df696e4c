"""What is decided before the first submit of a run: the options, and what it may cost."""

from __future__ import annotations

from ..contract.operation import RemoteOperation
from ..contract.pricing import Price, money
from ..errors import CostLimitError, UpscaleError
from ..storage.settings import Settings
from .offers import Offers

_LIMITED = ("max_cost_run", "max_cost_day")


def admit(
    offers: Offers, operation: RemoteOperation, count: int, settings: Settings, *, free: bool
) -> Price | None:
    """Return what each of `count` submits costs, None when nobody asked or nobody knows.

    `free` is for hosts of the user's own, which bill nothing unless they tell a price. Raises
    `InvalidInputError` for options that the model does not take, `CostLimitError`, or why the
    service cannot be asked.
    """
    if operation.catalogue is not None:
        offers.check(operation)
    limited = any(getattr(settings, name) for name in _LIMITED)
    if not limited and not settings.show_prices:
        return None
    try:
        price = offers.price(operation)
    except UpscaleError:
        if limited and not free:
            raise
        return None
    if limited and (price is not None or not free):
        _check_run(operation, price, count, settings.max_cost_run)
    return price


def check_total(price: Price | None, count: int, most: float) -> None:
    """Raise `CostLimitError` when `count` submits cost more than `most`; 0 means no limit."""
    if price is None or not most or price.amount * count <= most:
        return
    total = money(price.amount * count)
    each = f" ({count} at {money(price.amount)} each)" if count > 1 else ""
    raise CostLimitError(
        f"The run would cost {total}{each}, more than max_cost_run allows ({money(most)}). "
        "Nothing was submitted; take fewer images, or raise it in the settings."
    )


def _check_run(operation: RemoteOperation, price: Price | None, count: int, most: float) -> None:
    if price is None or price.least or price.currency != "USD":
        told = f"tells {price.text}" if price else "tells no price"
        raise CostLimitError(
            f"{operation.vendor.title} {told} for this run, so it cannot be held to the limits "
            f"{' and '.join(_LIMITED)}. Nothing was submitted; set them to 0 to run it all the "
            "same."
        )
    check_total(price, count, most)
