"""Names that infotexts, settings and workflows of the WebUI keep: never change one."""

PREFIX = "Bridge: "
"""Begins the name of every entry in the lists of upscalers; the host has models of its own."""
SETTING_PREFIX = "upscale_bridge_"
"""Begins the key of every setting in the WebUI's config.json."""


def entry_name(title: str, model: str = "") -> str:
    """Return the name of the entry of an operation's title, or of one of its models."""
    if not model:
        return PREFIX + title
    words = [word for word in title.split() if word != "Upscale"]
    return PREFIX + " ".join([*words, model.split("/", 1)[-1]])
