"""Upscale images locally with any model that spandrel loads, or through remote services.

    from upscale_bridge import LocalUpscale, run
    result = run(LocalUpscale(scale_factor=2), images)   # images: [batch, height, width, channels]

Operations of vendors that are not named here are imported from their own places, as in
`from upscale_bridge.vendors.novita import NovitaUpscale`. Nothing heavy is imported until an
operation runs.
"""

from .errors import UpscaleError
from .local.extras import LocalExtras
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
    "LocalExtras",
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
