"""The ComfyUI adapter: one thin node class per Operation."""

from .local import LocalESRGANUpscale

NODES = (LocalESRGANUpscale,)

NODE_CLASS_MAPPINGS = {node.__name__: node for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node.__name__: node.OPERATION.title for node in NODES}
