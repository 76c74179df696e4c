"""Every error that the core raises on purpose.

    UpscaleError                 str() = what happened + what to do
     |- SettingsError            a setting or a folder cannot be used
     |- InvalidInputError        .name of the parameter or file that was refused
     |- TransportError           nothing was sent, or no answer came
     |- EngineError
     |   |- ModelNotFoundError   no file of that name in any model folder
     |   |- UnsupportedModelError
     |   |- DownloadError
     |   |- OutOfMemoryError     already at the smallest tile
     |- StoppedError             the user asked

Hosts translate these at one place each; anything else that reaches a host is a bug.
"""

from __future__ import annotations


class UpscaleError(Exception):
    """The base of all errors here; `str()` is one sentence for the user."""

    exit_code = 1
    """The exit status of the shell command, 1 to 125."""


class SettingsError(UpscaleError):
    """A setting or one of the user's folders cannot be used."""

    exit_code = 3


class InvalidInputError(UpscaleError):
    """A value or a file was refused before any work was done."""

    exit_code = 2

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        """The parameter or the file that was refused."""


class TransportError(UpscaleError):
    """An HTTP exchange failed; `sent` tells whether the request may have arrived."""

    exit_code = 4

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
        """False when it is certain that the other side received nothing."""


class EngineError(UpscaleError):
    """The local engine cannot do what was asked."""

    exit_code = 5


class ModelNotFoundError(EngineError):
    """No weights file of that name lies in any model folder."""


class UnsupportedModelError(EngineError):
    """The weights file is damaged, hostile, or of a kind that cannot upscale an image."""


class DownloadError(EngineError):
    """A weights file could not be downloaded or failed its checks."""


class OutOfMemoryError(EngineError):
    """The device ran out of memory even at the smallest tile."""


class StoppedError(UpscaleError):
    """The user asked to stop."""

    exit_code = 130

    def __init__(self, message: str = "Stopped on request.") -> None:
        super().__init__(message)
