"""What the server is told: defaults, a TOML file, the command line, each over the one before it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from sql import settings
from storage import memory
from storage.durability.checkpoint import Policy
from storage.errors import InvalidParameterValue
from storage.segments.cache import default_limit

DATABASE = "glancedb"
_BUFFER = 8192  # the unit of shared_buffers


class ConfigError(ValueError):
    """A line of the configuration that cannot be taken."""


@dataclass(frozen=True)
class Config:
    """The server's configuration; the names are those of the file."""

    host: str = "127.0.0.1"
    port: int = 5454
    max_connections: int = 500
    database: str = DATABASE  # clients may also call it 'postgres', as their tools do
    tls_certificate: Path | None = None  # PEM
    tls_key: Path | None = None  # PEM; None: it is in the certificate's file
    authentication_timeout: float = 60.0  # seconds
    shutdown_timeout: float = 10.0  # seconds that SIGTERM leaves to what runs
    max_message_bytes: int = (1 << 30) - 1
    metrics_port: int = 0  # 0: none
    max_wal_size: int | str = "256MB"  # the log's size that begins a checkpoint
    checkpoint_timeout: int | str = "5min"  # the longest time between two
    shared_buffers: int | str = ""  # the buffer cache of segment files; "": half of the machine's memory
    max_query_memory: int | str = ""  # of all statements that run; "": two fifths of the machine's memory

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65_535),
            ("metrics_port", 0, 65_535),
            ("max_connections", 1, 262_143),
            ("max_message_bytes", 10_000, (1 << 31) - 1),
            ("authentication_timeout", 0.001, 86_400),
            ("shutdown_timeout", 0, 86_400),
        ):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} must be between {least} and {most}, not {getattr(self, name)}")
        if self.tls_key is not None and self.tls_certificate is None:
            raise ConfigError("tls_key without tls_certificate")

        try:
            assert self.policy
            assert self.buffer_bytes
            assert self.query_bytes
        except InvalidParameterValue as error:
            raise ConfigError(error.message) from None

    @property
    def policy(self) -> Policy:
        """When checkpoints begin."""
        size = settings.number("max_wal_size", str(self.max_wal_size))
        return Policy(size << 10, settings.number("checkpoint_timeout", str(self.checkpoint_timeout)))

    @property
    def buffer_bytes(self) -> int:
        """The most bytes of segment files that stay in memory."""
        if self.shared_buffers == "":
            return default_limit()
        return settings.number("shared_buffers", str(self.shared_buffers)) * _BUFFER

    @property
    def query_bytes(self) -> int:
        """The most memory that running statements take together."""
        if self.max_query_memory == "":
            return memory.default_limit()
        return settings.number("max_query_memory", str(self.max_query_memory)) << 10

    @property
    def databases(self) -> tuple[str, ...]:
        """The names by which the one database is known."""
        return (self.database, "postgres")


def load(path: Path, base: Config | None = None) -> Config:
    """`base`, with what the file says over it. Raises ConfigError naming file and line or key."""
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return changed(base or Config(), values, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def changed(base: Config, values: Mapping[str, Any], folder: Path = Path()) -> Config:
    """`base` with these values; relative paths are below `folder`. Raises ConfigError."""
    hints = get_type_hints(Config)
    known = {field.name for field in fields(Config)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}; there are {', '.join(sorted(known))}")
        checked[name] = _checked(name, value, hints[name], folder)
    return replace(base, **checked)


def _checked(name: str, value: Any, hint: Any, folder: Path) -> Any:
    """`value` as what the field holds."""
    if hint == Path | None:
        if isinstance(value, str | Path):
            return folder / value
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, hint) and not isinstance(value, bool):
        return value
    wanted = "a path" if hint == Path | None else {int: "a whole number", float: "a number"}.get(hint, "text")
    raise ConfigError(f"{name} must be {wanted}, not {value!r}")
