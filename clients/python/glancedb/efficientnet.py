"""The default image model: EfficientNet-Lite0's published weights as one ONNX graph.

The weights come as a PyTorch file of the old kind: pickles one after another (magic, protocol, system,
the state dictionary, storage keys), then each storage as a count (int64) and its raw values. We read it
with an unpickler that knows four names, and build the graph with numpy and onnx alone.

The graph is the whole contract: input `image` uint8 [N, 224, 224, 3] RGB; output `embedding` float32
[N, 1024], of length 1. Scaling, transposition, pooling and normalisation stand inside, so a client can
get nothing wrong but the crop.

Tensors are strided views of their storages, many of them in another memory order than their shape: a
reader that ignores the strides gives a graph that runs, and vectors that are wrong.
"""

from __future__ import annotations

import collections
import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, npt.NDArray[np.float32]]

DIMENSIONS = 1024
SIDE = 224
_EPSILON = 1e-3
_MAGIC = 0x1950A86A20F9469CFC6C
# (repeats, stride, expansion) of the inverted residuals; kernels and channels are the weights' shapes
_STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage:
    """A storage the state dictionary refers to; its values stand at the end of the file."""

    def __init__(self, dtype: np.dtype[Any], key: str) -> None:
        self.dtype = dtype
        self.key = key
        self.values: npt.NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    """A strided view of a storage, resolved once the storages are read."""

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: object
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> npt.NDArray[Any]:
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if self.offset < 0 or min(self.strides, default=0) < 0 or last >= len(self.storage.values):
            raise ValueError("a tensor reaches outside its storage")
        size = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset :], self.shape, tuple(s * size for s in self.strides)
        )
        return np.ascontiguousarray(view)


class _Reader(pickle.Unpickler):
    """An unpickler for which nothing exists but a state dictionary's four names."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        return self.storages.setdefault(key, _Storage(dtype, key))


def read_weights(data: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a PyTorch file of the old format, by name.

    Raises ValueError or pickle.UnpicklingError for anything else.
    """
    file = io.BytesIO(data)
    if _Reader(file).load() != _MAGIC:
        raise ValueError("not a PyTorch file of the old format")
    _Reader(file).load()  # protocol version
    _Reader(file).load()  # sizes of C types where it was written
    reader = _Reader(file)
    state = reader.load()
    for key in _Reader(file).load():
        storage = reader.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    return {name: tensor.array() for name, tensor in state.items() if tensor.shape != ()}


class _Graph:
    """The graph as it grows: nodes, initializers, and the name of the last output."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: npt.ArrayLike, dtype: str = "f4") -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def convolution(self, x: str, conv: str, norm: str, stride: int, clip: bool = True, rows: int = 0) -> str:
        """A convolution with its batch norm folded in, and ReLU6. `rows`: only the first channels."""
        weight = self.weights[f"{conv}.weight"].astype("f8")
        mean, variance, gamma, beta = (
            self.weights[f"{norm}.{part}"].astype("f8")
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        weight, bias = weight * scale[:, None, None, None], beta - mean * scale
        if rows:
            weight, bias = weight[:rows], bias[:rows]
        groups = weight.shape[0] if weight.shape[1] == 1 else 1
        x = self.node(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=groups,
            kernel_shape=list(weight.shape[2:]),
        )
        return self.node("Clip", x, self.constant(0.0), self.constant(6.0)) if clip else x

    def block(self, x: str, prefix: str, stride: int, expansion: int, residual: bool) -> str:
        """An inverted residual: expand, depthwise, project."""
        y = x
        if expansion != 1:
            y = self.convolution(y, f"{prefix}._expand_conv", f"{prefix}._bn0", 1)
        y = self.convolution(y, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride)
        y = self.convolution(y, f"{prefix}._project_conv", f"{prefix}._bn2", 1, clip=False)
        return self.node("Add", x, y) if residual else y


def build(weights: Weights) -> onnx.ModelProto:
    """The ONNX model of these weights: see the module's text for its input and output."""
    graph = _Graph(weights)
    x = graph.node("Cast", "image", to=TensorProto.FLOAT)
    x = graph.node("Div", graph.node("Sub", x, graph.constant(127.0)), graph.constant(128.0))
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.convolution(x, "_conv_stem", "_bn0", 2)
    block = 0
    for repeats, stride, expansion in _STAGES:
        for repeat in range(repeats):
            x = graph.block(
                x, f"_blocks.{block}", stride if repeat == 0 else 1, expansion, residual=repeat > 0
            )
            block += 1
    x = graph.convolution(x, "_conv_head", "_bn1", 1, rows=DIMENSIONS)
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x), axis=1)
    norm = graph.node("ReduceL2", x, graph.constant([1], "i8"), keepdims=1)
    graph.node("Div", x, graph.node("Max", norm, graph.constant(1e-12)), output="embedding")
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", DIMENSIONS])
    body = helper.make_graph(graph.nodes, "efficientnet-lite0", [image], [embedding], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def convert(source: bytes, target: Path) -> None:
    """Write the ONNX model of the PyTorch file `source` to `target`, whole or not at all."""
    model = build(read_weights(source))
    aside = target.with_suffix(".part")
    aside.write_bytes(model.SerializeToString())
    aside.replace(target)
