"""WaveSpeed's v3 API."""

from ...contract.registry import VendorEntry
from .api import WAVESPEED
from .catalogued import WaveSpeedUpscaleAny
from .server import WaveSpeedServer
from .upscale import WaveSpeedUpscale

ENTRY = VendorEntry(WAVESPEED, (WaveSpeedUpscale, WaveSpeedUpscaleAny), (WaveSpeedServer(),))

__all__ = ["ENTRY", "WaveSpeedUpscale", "WaveSpeedUpscaleAny"]
