"""Parameters that every remote operation has and that no service is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..params import Operation, param

ERROR = "error"
RUN_LOCALLY = "run locally"
DOWNLOAD = "run locally, download if needed"
ANY_MODEL = "run locally with any model"


def colour_match() -> Any:
    """Declare whose colours a result has."""
    return param(
        "none",
        "Give the result the colours of the input, which models may shift: lab in the mean and the "
        "spread of the whole image, wavelet everywhere, in all but fine detail.",
        choices=("none", "lab", "wavelet"),
        advanced=True,
        later=True,
    )


@dataclass(frozen=True, kw_only=True)
class SharedParams(Operation):
    """They come last wherever parameters are in an order."""

    when_too_large: str = param(
        "refuse",
        "An image beyond the service's limits: refuse it before anything is sent, or fit it "
        "(shrink it, and say so).",
        choices=("refuse", "fit"),
        advanced=True,
    )
    result_size: str = param(
        "as delivered",
        "Return the result as the service made it, or resized to exactly the size that was asked "
        "for.",
        choices=("as delivered", "exact"),
        advanced=True,
    )
    when_unavailable: str = param(
        ERROR,
        "Without key, balance or network, or after the vendor ended the service: stop with an "
        "error, or do the same on this machine, where the model must be, is fetched if needed (its "
        "licence and size are shown first), or may be another one. Never after a payment that is "
        "in doubt.",
        choices=(ERROR, RUN_LOCALLY, DOWNLOAD, ANY_MODEL),
    )
    attempt: int = param(
        1,
        "A finished result of the same image and settings is reused, and a task that is under way "
        "is joined. Raise this number to submit, and pay, again.",
        minimum=1,
        maximum=1_000_000,
        advanced=True,
    )
    colour_match: str = colour_match()


SHARED = tuple(item.name for item in SharedParams.params())
