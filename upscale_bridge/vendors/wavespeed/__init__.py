"""WaveSpeed's v3 API."""

from ...contract.registry import VendorEntry
from .api import WAVESPEED
from .bridge import UpscaleBridgeLocal
from .catalogued import WaveSpeedUpscaleAny
from .server import WaveSpeedServer
from .upscale import WaveSpeedUpscale
from .video import WaveSpeedUpscaleVideo

ENTRY = VendorEntry(
    WAVESPEED,
    (WaveSpeedUpscale, WaveSpeedUpscaleAny),
    (WaveSpeedServer(),),
    videos=(WaveSpeedUpscaleVideo,),
    own=(UpscaleBridgeLocal,),
)

__all__ = [
    "ENTRY",
    "UpscaleBridgeLocal",
    "WaveSpeedUpscale",
    "WaveSpeedUpscaleAny",
    "WaveSpeedUpscaleVideo",
]
