"""The converter from PyTorch's old files: strides, refusals, and the published model's own vectors."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glancedb import efficientnet, packages
from glancedb.embed import Embedder

DATA = Path(__file__).parent.parent / "data"


class _Storage:
    """Stands for a torch storage while the test writes a file of the old format."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


def _rebuild_tensor_v2(*arguments: object) -> None:
    raise AssertionError("only its name is pickled")


def _torch_file(tensors: dict[str, tuple[_Storage, int, tuple[int, ...], tuple[int, ...]]]) -> bytes:
    """What torch.save wrote before version 1.6, for these (storage, offset, shape, strides)."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    float_storage = type("FloatStorage", (), {"__module__": "torch"})
    torch.FloatStorage = float_storage
    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2

    class Tensor:
        def __init__(self, parts: tuple[object, ...]) -> None:
            self.parts = parts

        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            storage, offset, shape, strides = self.parts
            return _rebuild_tensor_v2, (storage, offset, shape, strides, False, {})

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            if isinstance(value, _Storage):
                return ("storage", float_storage, value.key, "cpu", len(value.values), None)
            return None

    out = io.BytesIO()
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(head, out, 2)
        Pickler(out, 2).dump({name: Tensor(parts) for name, parts in tensors.items()})
        storages = {parts[0].key: parts[0] for parts in tensors.values()}
        pickle.dump(sorted(storages), out, 2)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    for key in sorted(storages):
        out.write(struct.pack("<q", len(storages[key].values)) + storages[key].values.tobytes())
    return out.getvalue()


def test_tensors_come_out_in_their_shape_whatever_their_order_in_memory() -> None:
    values = np.arange(24, dtype="<f4")
    storage = _Storage("1", values)
    data = _torch_file(
        {
            "rows": (storage, 0, (2, 3, 4), (12, 4, 1)),
            "transposed": (storage, 0, (4, 3, 2), (1, 4, 12)),
            "part": (storage, 5, (3,), (2,)),
        }
    )
    weights = efficientnet.read_weights(data)
    np.testing.assert_array_equal(weights["rows"], values.reshape(2, 3, 4))
    np.testing.assert_array_equal(weights["transposed"], values.reshape(2, 3, 4).transpose(2, 1, 0))
    np.testing.assert_array_equal(weights["part"], [5, 7, 9])


def test_a_tensor_outside_its_storage_is_refused() -> None:
    data = _torch_file({"w": (_Storage("1", np.zeros(4, "<f4")), 0, (3, 3), (3, 1))})
    with pytest.raises(ValueError, match="outside its storage"):
        efficientnet.read_weights(data)


def test_a_pickle_that_calls_something_else_is_refused() -> None:
    out = io.BytesIO()
    for head in (0x1950A86A20F9469CFC6C, 1001, {}):
        pickle.dump(head, out, 2)
    out.write(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(pickle.UnpicklingError, match=r"os\.system"):
        efficientnet.read_weights(out.getvalue())


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    try:
        return Embedder(packages.default_model())
    except OSError as error:
        pytest.skip(f"the model cannot be fetched: {error}")


def test_the_default_model_gives_the_reference_vectors(embedder: Embedder) -> None:
    reference = np.load(DATA / "reference_embeddings.npz")
    files = {path.name: path for path in packages.default_pictures()}
    compared = 0
    for name, vector in zip(reference["names"], reference["embedding"], strict=True):
        if str(name) in files:
            assert float(embedder.file(files[str(name)]) @ vector) > 0.9999, name
            compared += 1
    assert compared >= 4


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(embedder: Embedder) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (5, 224, 224, 3), np.uint8)
    together = embedder.vectors(pictures)
    alone = np.concatenate([embedder.vectors(picture[None]) for picture in pictures])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_files_come_in_order_and_a_broken_one_with_its_error(embedder: Embedder, tmp_path: Path) -> None:
    for number in range(5):
        Image.new("RGB", (300, 200), (number * 40, 90, 10)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    results = list(embedder.files(sorted(tmp_path.iterdir())))
    assert [result.path.name for result in results] == [f"{n}.png" for n in range(5)]
    assert [result.vector is None for result in results] == [False, False, False, True, False]
    assert "3.png" in results[3].error
