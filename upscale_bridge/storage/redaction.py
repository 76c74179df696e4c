"""Finding a key in what a service says, however it is written there.

A text may hold a key escaped for JSON, HTML, addresses or mail, in base64 or hexadecimal digits,
broken into lines, and all of that in each other. So a text is searched, decoded by one step,
searched again, and so on.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
_MOST_STEPS = 8
_LONGEST = 100_000  # characters of a text that is no file
_HEAD = 1000

# \u0041, \x41, \101 and \/ of JSON and program texts; =41 of mail, and %u0041 of old scripts.
_ESCAPE = re.compile(
    r"\\u00([0-9a-f]{2})|\\u\{0*([0-9a-f]{2})\}|\\x([0-9a-f]{2})|%u00([0-9a-f]{2})|=([0-9a-f]{2})"
    r"|\\([0-3][0-7]{2})|\\([^\w\s])",
    re.IGNORECASE | re.ASCII,
)
_BREAK = re.compile(r"[\r\n]+|\\[rn]")
_FILE = re.compile(r"(data:[^,]{0,200},)?[A-Za-z0-9+/=\r\n]*")
_SIGNATURES = ("iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD", "SUkq", "TU0A")  # images in base64


class Redactor:
    """Finds one key in texts."""

    def __init__(self, key: str) -> None:
        """`key` is not empty and ASCII."""
        pairs = r"[\s:,.-]{0,2}(?:\\x|0x)?".join(f"{byte:02x}" for byte in key.encode())
        # Backslashes may have been added, or taken for escapes.
        literal = r"\\*".join(re.escape(sign) for sign in key if sign != "\\")
        forms = [literal, pairs, *map(_as_base64, _encoded(key))]
        self._pattern = re.compile("|".join(forms), re.IGNORECASE)

    def __reduce__(self) -> str:
        raise TypeError("a secret is never stored")

    def hide(self, text: str) -> str:
        """Return `text` with *** in place of the key.

        Where the key was escaped, the escapes of the whole text are gone as well. Images in base64
        are left as they are; other texts end after 100,000 characters.
        """
        if self._is_image(text):
            return text
        shown = found = text[:_LONGEST]
        for _ in range(_MOST_STEPS):
            clean = self._pattern.sub(HIDDEN, shown)
            if clean != shown:
                found = clean
            shown = _decode(clean)
            if shown == clean:
                return found
        return HIDDEN  # nobody reads what is escaped so often

    def hide_all(self, value: Any) -> Any:
        """Return what JSON was decoded to, with the key hidden in every text and number of it."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            return [self.hide_all(item) for item in value]
        if isinstance(value, dict):
            return {self.hide(name): self.hide_all(item) for name, item in value.items()}
        if type(value) is int and HIDDEN in (text := self.hide(str(value))):
            return text
        return value

    def _is_image(self, text: str) -> bool:
        head = text[:_HEAD]
        found = _FILE.fullmatch(head)
        if found is None:
            return False
        if head[len(found[1] or "") :].startswith(_SIGNATURES):
            return True
        return len(text) > _HEAD and self._pattern.search(head) is None


def _decode(text: str) -> str:
    """Return a text one step less escaped; texts without escapes as they are."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")  # invisible
    text = re.sub(r"\\+", r"\\", text)  # the same for any number of them, and quick
    lines = _BREAK.split(text)
    if len(lines) > 1:
        text = "".join(line.strip(" \t").removesuffix("=") for line in lines)
    text = _ESCAPE.sub(_unescape, text)
    return unquote(html.unescape(text), errors="replace")


def _unescape(match: re.Match[str]) -> str:
    *digits, octal, sign = match.groups()
    if sign:
        return sign
    if octal:
        return chr(int(octal, 8))
    return chr(int(next(filter(None, digits)), 16))


def _encoded(key: str) -> list[str]:
    """Return the part of a text's base64 that the key in it decides, for its three places."""
    found = []
    for before in range(3):
        data = b"\0" * before + key.encode()
        whole = base64.b64encode(data).decode().rstrip("=")
        begin, end = -(-before * 8 // 6), len(data) * 8 // 6
        found.append(whole[begin:end])
    return found


def _as_base64(text: str) -> str:
    """Return a pattern of base64 in both alphabets, with the digits that are partly the key's."""
    signs = {"+": "[+-]", "/": "[/_]"}
    edge = "[A-Za-z0-9+/_-]{0,4}"
    return edge + "".join(signs.get(sign, sign) for sign in text) + edge + "={0,2}"
