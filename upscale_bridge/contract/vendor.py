"""A vendor of a remote service: where it is, and what its refusals mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from ..errors import AuthError, BadReplyError, ProviderError, QuotaError
from ..texts import shortened
from .http import Json, Reply
from .reading import as_id


@dataclass(frozen=True)
class Vendor:
    """Who sells remote operations: where its services are and how they know their customers."""

    name: str
    """Part of setting names, journal rows and environment variables: never changes."""
    title: str
    base_url: str
    """The vendor's own address; settings may name another host."""
    key_page: str
    """Where a customer gets a key."""
    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer "
    free_call: str = ""
    """Path of a GET that needs a key, costs nothing and changes nothing; empty for none."""
    first_poll: float = 1.0
    """Seconds before the first look at a new task."""

    @property
    def key_variable(self) -> str:
        """The environment variable of the key."""
        return f"{self.name.upper()}_API_KEY"

    @property
    def url_variable(self) -> str:
        """The environment variable of the base URL."""
        return f"{self.name.upper()}_BASE_URL"

    @property
    def key_advice(self) -> str:
        """What to do when a key is refused."""
        return (
            f"Check the key ({self.key_variable}, or `upscale-bridge keys set {self.name}`); keys "
            f"are made at {self.key_page}."
        )

    def key_missing(self, file: str) -> str:
        """Return what to do without a key; `file` holds those that are kept."""
        return (
            f"There is no key for {self.title}. Set {self.key_variable}, write "
            f'{{"{self.name}": "KEY"}} into {file}, or run `upscale-bridge keys set {self.name}` '
            f"(in ComfyUI: Upscale Bridge: API keys). Keys are made at {self.key_page}."
        )

    def refuse(self, reply: Reply, message: str, code: str = "") -> NoReturn:
        """Raise what the status and the vendor's `code` of a refusal mean.

        A `BadReplyError` says that it is unknown what the service did; every other error, that it
        did nothing.
        """
        said = f": {shortened(message)}" if message else ""
        text = f"{self.title} answered HTTP {reply.status}{said}"
        name, status = self.name, reply.status
        if code in ("BILLING_BALANCE_NOT_ENOUGH",) or status == 402:
            raise QuotaError(
                f"{text}. Top up the balance at {self.key_page}.", provider=name, status=status
            )
        if code in ("MISSING_API_KEY", "INVALID_API_KEY") or status in (401, 403):
            raise AuthError(f"{text}. {self.key_advice}", provider=name, status=status)
        if status == 429:
            raise QuotaError(
                f"{text}. Wait a while, or run fewer at once.", provider=name, status=status
            )
        if 300 <= status < 400 and status != 303:
            raise ProviderError(
                f"{text}, a redirect; set {self.url_variable} to the final address.",
                provider=name,
                status=status,
            )
        if 400 <= status < 500 and status != 408:
            raise ProviderError(f"{text}.", provider=name, status=status)
        raise BadReplyError(f"{text}.", provider=name, status=status)

    def required_id(self, answer: Json, name: str) -> str:
        """Return the id that an answer must hold, or raise `BadReplyError`."""
        found = as_id(answer.get(name))
        if not found:
            raise BadReplyError(f"{self.title}'s answer names no {name}.", provider=self.name)
        return found
