"""Parameters that every remote operation has and that no service is told."""

from __future__ import annotations

from typing import Any

from ..params import param

SHARED = ("when_too_large", "result_size", "when_unavailable", "attempt")
"""Parameters of every remote operation that the service is not told."""


ERROR = "error"
RUN_LOCALLY = "run locally"
DOWNLOAD = "run locally, download if needed"
ANY_MODEL = "run locally with any model"


def too_large_choice() -> Any:
    """Declare what happens to an image beyond the limits of the service."""
    return param(
        "refuse",
        "An image beyond the service's limits: refuse it before anything is sent, or fit it "
        "(shrink it, and say so).",
        choices=("refuse", "fit"),
    )


def size_choice() -> Any:
    """Declare in which size results are returned."""
    return param(
        "as delivered",
        "Return the result as the service made it, or resized to exactly the size that was asked "
        "for.",
        choices=("as delivered", "exact"),
    )


def unavailable_choice() -> Any:
    """Declare what happens when the service cannot be used."""
    return param(
        ERROR,
        "Without key, balance or network, or after the vendor ended the service: stop with an "
        "error, or do the same on this machine, where the model must be, is fetched if needed (its "
        "licence and size are shown first), or may be another one. Never after a payment that is "
        "in doubt.",
        choices=(ERROR, RUN_LOCALLY, DOWNLOAD, ANY_MODEL),
    )


def attempt_number() -> Any:
    """Declare the number that makes the same request a new one."""
    return param(
        1,
        "A finished result of the same image and settings is reused, and a task that is under way "
        "is joined. Raise this number to submit, and pay, again.",
        minimum=1,
        maximum=1_000_000,
    )
