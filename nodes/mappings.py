"""The ComfyUI adapter: one thin node class per Operation.

This folder has no `__init__.py`: the WebUI puts it on the path of all extensions, where a package
called `nodes` would take the place of another one's, and of ComfyUI's own `nodes`.
"""

from typing import Any

from . import remote, remote_video, routes
from .extras import LocalUpscaleExtras
from .local import LocalESRGANUpscale
from .video import LocalESRGANUpscaleVideo

NODES: tuple[Any, ...] = (
    LocalESRGANUpscale,
    LocalESRGANUpscaleVideo,
    LocalUpscaleExtras,
    *remote.NODES,
    *remote_video.NODES,
    remote.ResumeUpscaleTask,
)

NODE_CLASS_MAPPINGS = {node.__name__: node for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node.__name__: node.OPERATION.title for node in NODES}

routes.register()
