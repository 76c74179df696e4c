"""What `upscale-bridge doctor` finds out, in words that may be shown to anybody."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .. import __version__
from .terminal import say


@dataclass(frozen=True)
class Problem:
    """What is wrong and what to do about it, in sentences."""

    text: str
    stops: bool
    """Nothing can be enlarged on this machine before it is mended."""


@dataclass
class Findings:
    """What was found out."""

    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Section -> name -> what there is, in words."""
    problems: list[Problem] = field(default_factory=list)

    def tell(self, section: str, name: str, text: object) -> None:
        """Note a fact."""
        self.facts.setdefault(section, {})[name] = _private(str(text))

    def complain(self, text: str, *, stops: bool = False) -> None:
        """Note a problem."""
        self.problems.append(Problem(_private(text), stops))

    def show(self) -> None:
        """Print all of it for a person."""
        say(f"Upscale Bridge {__version__}")
        for section, facts in self.facts.items():
            say("")
            say(section)
            width = min(max(map(len, facts)), 28)
            for name, text in facts.items():
                say(f"  {name:{width}}  {text}")
        say("")
        if not self.problems:
            say("Nothing is missing.")
            return
        say("What is wrong, and what to do")
        for number, problem in enumerate(self.problems, 1):
            say(f"  {number}. {problem.text}")


def amount(count: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.3g} {unit}" if count < 1000 else f"{count:.0f} {unit}"


def _private(text: str) -> str:
    """Return a text in which the user's home, and with it mostly the user's name, is `~`."""
    try:
        place = Path.home()
    except RuntimeError:  # a user without one
        return text
    for path in {str(place), str(place.resolve())}:
        if len(path) > 3:  # "/" and "C:\" are nobody's name
            text = re.sub(rf"{re.escape(path)}(?![\w-]|\.\w)", "~", text, flags=re.IGNORECASE)
    return text
