"""WaveSpeed's v3 API."""

from ...contract.registry import VendorEntry
from .api import WAVESPEED
from .server import WaveSpeedServer
from .upscale import WaveSpeedUpscale

ENTRY = VendorEntry(WAVESPEED, (WaveSpeedUpscale,), (WaveSpeedServer(),))

__all__ = ["ENTRY", "WaveSpeedUpscale"]
