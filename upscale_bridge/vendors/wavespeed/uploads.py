"""How WaveSpeed takes files before a submit.

Facts: https://wavespeed.ai/docs/upload-files-api; tickets as in the SDKs since 1.0.11.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...contract.files import Sendable, StoredFile, size_of
from ...contract.http import Call, Reply, post, post_file, put_file
from ...contract.reading import table
from ...contract.uploads import Upload, Uploads
from ...errors import BadReplyError
from .api import ROOT, read_data

TICKETS, FORM = ROOT + "media/uploads", ROOT + "media/upload/binary"


class WaveSpeedUploads(Uploads):
    """The upload ticket of newer SDKs, and the older multipart form."""

    def ask(self, file: Sendable) -> Call:
        body = {
            "filename": _file_name(file),
            "size": size_of(file),
            "content_type": file.mime,
        }
        return post(TICKETS, body)

    def read_place(self, reply: Reply, file: Sendable) -> Upload:
        data = read_data(reply)
        place = table(data.get("upload"))
        url, address = place.get("url"), data.get("download_url")
        if not isinstance(url, str) or not url or not isinstance(address, str) or not address:
            raise BadReplyError("WaveSpeed's upload ticket names no address.", provider="wavespeed")
        headers: Mapping[str, object] = table(place.get("headers"))
        texts = {str(name): str(value) for name, value in headers.items()}
        return Upload(put_file(url, file, texts), address)

    def post(self, file: Sendable) -> Call:
        return post_file(FORM, _file_name(file), file)

    def read_posted(self, reply: Reply) -> str:
        address = read_data(reply).get("download_url")
        if not isinstance(address, str) or not address:
            raise BadReplyError("WaveSpeed's upload names no address.", provider="wavespeed")
        return address


def _file_name(file: Sendable) -> str:
    if isinstance(file, StoredFile):
        return f"{file.mime.partition('/')[0]}.{file.ending}"
    return "image." + file.mime.rpartition("/")[2]
