"""What the general batteries ask about Acme."""

from pathlib import Path

from tests.vendors.form import Profile, Sent, Served, Words
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Ticket
from upscale_bridge.errors import AuthError
from upscale_bridge.vendors.acme import AcmeUpscale

PROFILES = (
    Profile(
        operation=AcmeUpscale,
        samples=Path(__file__).parent / "samples",
        submits=(Sent("submit_request", AcmeUpscale(), "data_uri"),),
        accepted={"submit_reply": Ticket("a1b2")},
        poll=("status_request", "a1b2"),
        states={
            "status_queued": Queued(),
            "status_running": Running(),
            "status_done": Done((Output(url="https://files.acme.example/a1b2.png"),)),
            "status_failed": Failed("no memory"),
        },
        errors={"error_key": (AuthError, 401)},
        error_words=("error",),
        words=Words("queued", "running", "done"),
        id_first=True,
        served=Served(
            sources=("data_uri", "url"),
            refusals={status: (status, None) for status in (400, 401, 404, 409, 429, 503)},
            code=None,
            numeric=False,
            results=1,
        ),
    ),
)
