"""The WebUI's door: Stable Diffusion WebUI runs this file at its start and at "Reload UI"."""

from upscale_bridge_webui import ahead, options, upscalers
from upscale_bridge_webui.panel import Panel  # noqa: F401 (the WebUI looks for its class here)

options.register()
upscalers.register()
ahead.register()
