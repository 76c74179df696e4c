"""Names that infotexts, settings and workflows of the WebUI keep: never change one."""

PREFIX = "Bridge: "
"""Begins the name of every entry in the lists of upscalers; the host has models of its own."""
SETTING_PREFIX = "upscale_bridge_"
"""Begins the key of every setting in the WebUI's config.json."""
