"""The adapter for Stable Diffusion WebUI: A1111, Forge and reForge.

Imported by `scripts/upscale_bridge_webui.py` alone. `modules` and `gradio` are the WebUI's.
"""
