"""The adapter for Stable Diffusion WebUI: A1111, Forge, reForge and SD.Next.

Imported by `scripts/upscale_bridge_webui.py` alone. `modules` and `gradio` are the WebUI's.
"""
