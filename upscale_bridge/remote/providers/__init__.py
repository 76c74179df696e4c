"""All remote operations."""

from ..provider import Provider, RemoteOperation
from .novita import NOVITA, NovitaUpscale
from .novita_resolution import NovitaUpscaleToResolution
from .novita_v2 import NovitaUpscaleV2
from .photio import PHOTIO, PhotioUpscale
from .wavespeed import WAVESPEED, WaveSpeedUpscale

OPERATIONS: tuple[type[RemoteOperation], ...] = (
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    PhotioUpscale,
    WaveSpeedUpscale,
)

PROVIDERS: tuple[Provider, ...] = (NOVITA, PHOTIO, WAVESPEED)

__all__ = [
    "OPERATIONS",
    "PROVIDERS",
    "NovitaUpscale",
    "NovitaUpscaleToResolution",
    "NovitaUpscaleV2",
    "PhotioUpscale",
    "WaveSpeedUpscale",
]
