"""The ComfyUI adapter: one thin node class per Operation.

This folder has no `__init__.py`: the WebUI puts it on the path of all extensions, where a package
called `nodes` would take the place of another one's, and of ComfyUI's own `nodes`.
"""

from . import routes
from .local import LocalESRGANUpscale
from .remote import (
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    PhotioUpscale,
    ResumeUpscaleTask,
    WaveSpeedUpscale,
)
from .video import LocalESRGANUpscaleVideo

NODES = (
    LocalESRGANUpscale,
    LocalESRGANUpscaleVideo,
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    PhotioUpscale,
    WaveSpeedUpscale,
    ResumeUpscaleTask,
)

NODE_CLASS_MAPPINGS = {node.__name__: node for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node.__name__: node.OPERATION.title for node in NODES}

routes.register()
