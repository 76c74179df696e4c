"""Pickles put together by hand, in the two formats in which torch keeps weights."""

import io
import pickle
import struct
import zipfile

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
VERSION = pickle.dumps(1001, 2)
MACHINE = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)


class Program:
    """Instructions that leave one value on the stack; immutable."""

    def __init__(self, code=b""):
        self.code = code

    def text(self, text):
        data = text.encode("utf-8", "surrogatepass")
        return Program(self.code + b"X" + struct.pack("<I", len(data)) + data)

    def value(self, value):
        """Push what Python's own pickle can write."""
        return Program(self.code + pickle.dumps(value, 2)[2:-1])

    def name(self, module, name, form="GLOBAL"):
        if form == "GLOBAL":
            return Program(self.code + f"c{module}\n{name}\n".encode())
        return Program(self.text(module).text(name).code + b"\x93")

    def called(self, module, name, form="GLOBAL", argument="touch /tmp/x"):
        return Program(self.name(module, name, form).value(argument).code + b"\x85R")

    def dictionary(self, **values):
        code = self.code + b"}("
        for key, value in values.items():
            code += Program().text(key).code + value.code
        return Program(code + b"u")

    def built(self, target, state):
        return Program(self.code + target.code + state.code + b"b")

    def laughs(self, depth, way="TUPLE2"):
        """A value that holds itself twice, in that twice, and so on."""
        step = b"q\x01h\x01\x86" if way == "TUPLE2" else b"q\x01](h\x01h\x01e"
        return Program(self.code + b")" + step * depth)

    def as_key(self):
        return Program(b"}" + self.code + b"Ns")

    def tensor(self, shape, stride, offset, *, type_="FloatStorage", count=16, key="0"):
        storage = (
            Program(b"(").text("storage").name("torch", type_).text(key).text("cpu").value(count)
        )
        code = self.code + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage.code + b"tQ"
        code += Program().value(offset).value(shape).value(stride).code
        return Program(code + b"\x89}tR")

    def pickle(self):
        return b"\x80\x02" + self.code + b"."

    def archive(self, numbers=b""):
        """As torch writes it since 1.6."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in (("data.pkl", self.pickle()), ("data/0", numbers), ("version", b"3")):
                archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)
        return buffer.getvalue()

    def legacy(self, numbers=b"", unit=4):
        """As torch wrote it before 1.6."""
        keys = pickle.dumps(["0"] if numbers else [], 2)
        tail = struct.pack("<q", len(numbers) // unit) + numbers if numbers else b""
        return MAGIC + VERSION + MACHINE + self.pickle() + keys + tail
