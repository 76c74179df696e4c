"""Novita's APIs: v3 upscale, v3 image-upscaler, and the deprecated v2 upscale."""

from ...contract.registry import VendorEntry
from .api import NOVITA
from .resolution import NovitaUpscaleToResolution
from .server import NovitaServer
from .upscale import NovitaUpscale
from .v2 import NovitaUpscaleV2
from .v2_server import NovitaV2Server

ENTRY = VendorEntry(
    NOVITA,
    (NovitaUpscale, NovitaUpscaleToResolution, NovitaUpscaleV2),
    (NovitaServer(), NovitaV2Server()),
)

__all__ = ["ENTRY", "NovitaUpscale", "NovitaUpscaleToResolution", "NovitaUpscaleV2"]
