"""Upscale images locally with any model that spandrel loads, or through remote services.

    from upscale_bridge import LocalUpscale, run
    result = run(LocalUpscale(scale_factor=2), images)   # images: [batch, height, width, channels]

`upscale_bridge.vendors` has the operations of all vendors; those that are named here as well are
the first ones'. Nothing heavy is imported until an operation runs.
"""

from .errors import UpscaleError
from .local.operation import LocalUpscale
from .monitor import Monitor
from .result import Result
from .service import Service, run
from .vendors import (
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    PhotioUpscale,
    WaveSpeedUpscale,
)

__all__ = [
    "LocalUpscale",
    "Monitor",
    "NovitaUpscale",
    "NovitaUpscaleToResolution",
    "NovitaUpscaleV2",
    "PhotioUpscale",
    "Result",
    "Service",
    "UpscaleError",
    "WaveSpeedUpscale",
    "__version__",
    "run",
]

__version__ = "0.1.0"
