"""A small image model of the test's own, and a folder of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE, DIMENSIONS = 32, 64


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file: 32 x 32 pictures to 64 numbers by one random projection."""
    weights = np.random.default_rng(7).standard_normal((SIDE * SIDE * 3, DIMENSIONS)).astype("f4")
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["row"], axis=1),
        helper.make_node("MatMul", ["row", "weights"], ["embedding"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", DIMENSIONS])
    graph = helper.make_graph(
        nodes, "small", [image], [embedding], [numpy_helper.from_array(weights, "weights")]
    )
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three pictures, one of them in a sub-folder."""
    generator = np.random.default_rng(3)
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/c.png"):
        Image.fromarray(generator.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / name)
    return folder
