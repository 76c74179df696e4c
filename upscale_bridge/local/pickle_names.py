"""Names that a pickle of weights may hold. None of them is imported: see pickles."""

from __future__ import annotations

STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "BoolStorage": "bool",
    "UntypedStorage": "untyped",
}
"""Torch's classes of storages, and the number formats in them that weights have."""

_PLAIN = ("dict", "list", "set", "frozenset", "tuple", "int", "float", "str", "bool", "complex")
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
_KINDS = ("float64", "float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64")

# What torch writes for tensors, and what training scripts (BasicSR, neosr, traiNNer, Lightning)
# leave in a checkpoint beside the weights. None of it is looked at but the first two lines.
HARMLESS: dict[str, tuple[str, ...]] = {
    "torch": (*STORAGES, *_KINDS, "bool", "float8_e4m3fn", "float8_e5m2", "Size", "device"),
    "torch._utils": (
        *("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"),
        *("_rebuild_parameter", "_rebuild_parameter_with_state"),
    ),
    "torch.storage": ("UntypedStorage",),
    "torch.torch_version": ("TorchVersion",),
    "torch.serialization": ("_get_layout",),
    "collections": ("OrderedDict", "defaultdict", "Counter", "deque"),
    "typing": ("OrderedDict", "Any"),
    "builtins": (*_PLAIN, "bytes", "bytearray", "slice", "object"),
    "__builtin__": (*_PLAIN, "unicode", "long", "slice", "object"),
    "copyreg": ("_reconstructor",),
    "copy_reg": ("_reconstructor",),
    "_codecs": ("encode",),
    "numpy": ("dtype", "ndarray", "float32", "float64", "int32", "int64", "bool_"),
    "numpy.core.multiarray": ("scalar", "_reconstruct"),
    "numpy._core.multiarray": ("scalar", "_reconstruct"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.dtypes": ("Float32DType", "Float64DType", "Int32DType", "Int64DType", "BoolDType"),
    "argparse": ("Namespace",),
    "types": ("SimpleNamespace",),
    "datetime": ("date", "datetime", "timedelta"),
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "easydict": ("EasyDict",),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.nodes": (
        *("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode", "PathNode"),
    ),
    "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint",),
    "pytorch_lightning.callbacks.early_stopping": ("EarlyStopping",),
    "pytorch_lightning.utilities.parsing": ("AttributeDict",),
    "lightning.pytorch.callbacks.model_checkpoint": ("ModelCheckpoint",),
    "lightning.pytorch.utilities.parsing": ("AttributeDict",),
    "lightning_fabric.utilities.data": ("AttributeDict",),
    "lightning.fabric.utilities.data": ("AttributeDict",),
}
