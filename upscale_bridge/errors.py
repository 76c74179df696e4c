"""Every error that the core raises on purpose.

    UpscaleError                 str() = what happened + what to do
     |- SettingsError            a setting or a folder cannot be used
     |   |- MissingKeyError      no key for a provider
     |   |- CostLimitError       it would cost more than the settings allow
     |- InvalidInputError        .name of the parameter or file that was refused
     |- TransportError           nothing was sent, or no answer came
     |- ProviderError            .provider .status: a remote service answered that it will not
     |   |- AuthError            it does not accept the key
     |   |- QuotaError           balance or rate limit
     |   |- RetiredError         the vendor has ended this API
     |   |- BadReplyError        the answer is not what the API promises
     |- TaskError                .ticket of the task, so that it can be resumed
     |   |- TaskFailedError      the service says that the task failed
     |   |- TaskTimeoutError     no result before the deadline
     |   |- TaskLostError        the service does not know the task any more
     |   |- AmbiguousSubmitError nobody knows whether the service accepted (and bills) the task
     |- EngineError
     |   |- ModelNotFoundError   no file of that name in any model folder
     |   |- UnsupportedModelError
     |   |- DownloadError
     |   |- OutOfMemoryError     already at the smallest tile
     |- StoppedError             the user asked

Hosts translate these at one place each; anything else that reaches a host is a bug.
"""

from __future__ import annotations

from .texts import printable


class UpscaleError(Exception):
    """The base of all errors here; `str()` is one sentence for the user, without control signs."""

    exit_code = 1
    """The exit status of the shell command, 1 to 125."""

    def __str__(self) -> str:
        return printable(super().__str__())


class SettingsError(UpscaleError):
    """A setting or one of the user's folders cannot be used."""

    exit_code = 3


class MissingKeyError(SettingsError):
    """No key is set for a provider."""


class CostLimitError(SettingsError):
    """A run would cost more than the user's settings allow; nothing was submitted."""


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
        self.received = b""
        """What came of an answer before it broke off."""


class ProviderError(UpscaleError):
    """A remote service refused a call."""

    exit_code = 6

    def __init__(self, message: str, *, provider: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.provider = provider
        """The provider's name, for example novita."""
        self.status = status
        """The HTTP status of the answer, 0 when unknown."""
        self.ticket = ""
        """The task that the call was about; empty when the service has accepted nothing."""


class AuthError(ProviderError):
    """The service does not accept the key."""


class QuotaError(ProviderError):
    """The balance is used up, or requests come too fast."""


class RetiredError(ProviderError):
    """The vendor has ended this API."""


class BadReplyError(ProviderError):
    """The answer is not what the API promises; what it means for a submit is unknown."""


class TaskError(UpscaleError):
    """A task that the service accepted, or may have accepted, gave no result."""

    exit_code = 7

    def __init__(self, message: str, *, ticket: str = "") -> None:
        super().__init__(message)
        self.ticket = ticket
        """The service's id of the task, empty when it never told one."""


class TaskFailedError(TaskError):
    """The service says that the task failed."""


class TaskTimeoutError(TaskError):
    """No result came before the deadline; the task goes on and can be resumed."""


class TaskLostError(TaskError):
    """The service does not know the task any more."""


class AmbiguousSubmitError(TaskError):
    """Nobody knows whether the service accepted the task; it is not submitted again by itself."""


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


def restated(error: UpscaleError, text: str) -> UpscaleError:
    """Return the same error with more to say."""
    error.args = (text,)
    return error
