"""A remote service, its operations, and both halves of its wire format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, NoReturn

from .. import sizes
from ..errors import AuthError, BadReplyError, ProviderError, QuotaError
from ..params import Operation
from ..pictures import Picture
from ..sizes import Size
from ..texts import Text, shortened
from .choices import SHARED
from .wire import Call, Done, Json, Reply, Source, Status, Ticket, as_id

Way = Literal["base64", "data_uri", "url", "upload"]


@dataclass(frozen=True)
class Provider:
    """A remote service: where it is and how it knows its customers."""

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
            raise AuthError(
                f"{text}. Check the key ({self.key_variable}, or `upscale-bridge keys set "
                f"{self.name}`); keys are made at {self.key_page}.",
                provider=name,
                status=status,
            )
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


@dataclass(frozen=True)
class Limits:
    """What a service takes and gives; None where nothing is documented."""

    edge: int | None = None
    """Longest side of the image that is sent, pixels."""
    size: int | None = None
    """Largest encoded image, bytes."""
    result_edge: int | None = None
    """Longest side of the result, pixels."""


@dataclass(frozen=True)
class Upload:
    """Where to put a file, and the address under which the service finds it."""

    call: Call
    url: str


class Uploads(ABC):
    """How a service takes files before the submit; nothing of it is billed."""

    @abstractmethod
    def ask(self, picture: Picture) -> Call:
        """Return the call that asks for a place."""

    @abstractmethod
    def read_place(self, reply: Reply, picture: Picture) -> Upload:
        """Return the place."""

    @abstractmethod
    def post(self, picture: Picture) -> Call:
        """Return the older call that sends the file at once."""

    @abstractmethod
    def read_posted(self, reply: Reply) -> str:
        """Return the address of a posted file."""


class RemoteOperation(Operation):
    """An operation of a remote service; subclasses are frozen dataclasses like all operations."""

    provider: ClassVar[Provider]
    wire: ClassVar[Wire]
    command: ClassVar[str]
    """The shell's word for it."""
    uploads: ClassVar[Uploads | None] = None
    size_parameter: ClassVar[str]
    """The parameter that decides how large the result is; its choices grow."""
    deprecated: ClassVar[bool] = False
    known_models: ClassVar[tuple[str, ...]] = ()
    """Names that other machines have for the models that the vendor offers."""
    retirement: ClassVar[str] = ""
    """What the vendor announced about the end of this API, one sentence with its date."""

    when_too_large: str
    result_size: str
    when_unavailable: str
    attempt: int

    @property
    def limits(self) -> Limits:
        """What the service documents for these parameters."""
        return Limits()

    @property
    def price(self) -> Text | None:
        """What an image costs, a few words; None where the vendor does not tell."""
        return None

    @property
    def image_address(self) -> str:
        """The URL that the user gave in place of the image; empty when the image is sent."""
        return ""

    @abstractmethod
    def ways(self) -> tuple[Way, ...]:
        """Return how the image may travel, best first."""

    def told(self) -> Json:
        """Return the parameters that the service is told."""
        values: Json = asdict(self)
        return {name: value for name, value in values.items() if name not in SHARED}

    @abstractmethod
    def factor(self, width: int, height: int) -> float:
        """Return how many times as large an image becomes, before its size is rounded."""

    def target(self, width: int, height: int) -> Size:
        """Return the size in pixels that is asked for, given that of the image."""
        return sizes.enlarged((width, height), self.factor(width, height))

    def covered(self, width: int, height: int) -> Size:
        """Return the size to which an image is enlarged, before it may be cropped."""
        return self.target(width, height)

    def keeps_aspect(self) -> bool:
        """Tell whether the result shows the whole image in its own proportions."""
        return True

    def models(self) -> tuple[str, ...]:
        """Return the names that other machines have for the models; "" is the service's own."""
        return ("",)

    def only_there(self) -> str:
        """Return what can be done by the service alone; empty when other machines can do all."""
        return ""


class Wire(ABC):
    """Both halves of a service's wire format."""

    has_tickets: ClassVar[bool] = True
    """False where the answer to a submit is all that there ever is."""
    ticket_path: ClassVar[tuple[str, ...]] = ()
    """The names that lead to the task's id in the answer to a submit."""

    # The client's half.

    @abstractmethod
    def submit(self, operation: Any, source: Source) -> Call:
        """Return the paid call."""

    @abstractmethod
    def read_submit(self, reply: Reply) -> Ticket | Done:
        """Return what was accepted.

        What cannot be read of a result does not matter when there is an id. Raises
        `BadReplyError` when it is unknown what the service did, another `ProviderError` when it
        certainly accepted nothing.
        """

    @abstractmethod
    def poll(self, ticket: str) -> Call:
        """Return the call that asks for a task's status."""

    @abstractmethod
    def read_poll(self, reply: Reply) -> Status:
        """Return the status; raises a `ProviderError`, of status 404 for an unknown task.

        Status words that nobody documents are `Running`.
        """

    # The server's half.

    @abstractmethod
    def read_call(self, call: Call) -> tuple[RemoteOperation, Source] | None:
        """Return what a submit asks for, None when the call is no submit of this wire.

        Raises `InvalidInputError`. Numbers may come as texts.
        """

    def webhook(self, call: Call) -> str:
        """Return the address that a submit wants to be told at; empty for none."""
        return ""

    def write_event(self, ticket: str, status: Status, base_url: str) -> Json:
        """Return what is sent to a webhook when a task has ended."""
        raise TypeError("this API has no webhooks")

    @abstractmethod
    def write_submit(self, accepted: Ticket | Done, base_url: str = "", *, note: str = "") -> Reply:
        """Return the answer to a submit; `base_url` and `note` as in `write_status`."""

    @abstractmethod
    def read_poll_call(self, call: Call) -> str | None:
        """Return the ticket that a call asks about, None when it is no poll of this wire."""

    @abstractmethod
    def write_status(
        self, ticket: str, status: Status, base_url: str = "", *, note: str = ""
    ) -> Reply:
        """Return the answer to a poll; `base_url` is the server's own, for addresses in it.

        `note` is said to the customer where the format has a place for it.
        """

    @abstractmethod
    def write_error(self, status: int, message: str) -> Reply:
        """Return a refusal in the vendor's envelope, given what its HTTP status would be."""
