"""The configuration's values, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config import Config, ConfigError, load


def test_when_checkpoints_begin(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text('max_wal_size = "1GB"\ncheckpoint_timeout = 90\n')
    policy = load(path).policy
    assert (policy.log_bytes, policy.seconds) == (1 << 30, 90)
    assert Config().policy.log_bytes == 256 << 20


def test_the_size_of_the_buffer_cache() -> None:
    assert Config(shared_buffers="1GB").buffer_bytes == 1 << 30
    assert Config(shared_buffers=16).buffer_bytes == 128 << 10
    assert Config().buffer_bytes > 1 << 27


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('max_wal_size = "1 furlong"', 'invalid value for parameter "max_wal_size": "1 furlong"'),
        ('max_wal_size = "1kB"', '1 kB is outside the valid range for parameter "max_wal_size" (64 ..'),
        ("checkpoint_timeout = 0", '0 s is outside the valid range for parameter "checkpoint_timeout" (1 ..'),
        ("shared_buffers = 1", '1 8kB is outside the valid range for parameter "shared_buffers" (16 ..'),
        ("checkpoint_timeout = true", "checkpoint_timeout must be text, not True"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(line)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
