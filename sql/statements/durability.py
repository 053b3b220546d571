"""Statements about what is on disk: CHECKPOINT and BACKUP DATABASE."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sql import commands
from sql.outcome import Field, Outcome, Rows
from sql.statements.control import done
from sql.statements.host import Host
from storage.batch import Batch
from storage.column import Column
from storage.errors import ActiveSqlTransaction, InsufficientPrivilege, InvalidCatalogName, InvalidName
from storage.types import INT8


def checkpoint(host: Host, command: commands.Checkpoint) -> Outcome:
    """CHECKPOINT."""
    if not host.superuser:
        raise InsufficientPrivilege("must be superuser or have privileges of pg_checkpoint to do CHECKPOINT")
    host.store.checkpoint()
    return done("CHECKPOINT")


def back_up(host: Host, command: commands.Backup) -> Outcome:
    """BACKUP DATABASE, into a folder of the server's machine."""
    if not host.superuser:
        raise InsufficientPrivilege("must be superuser to do BACKUP DATABASE")
    if host.explicit:
        raise ActiveSqlTransaction("BACKUP DATABASE cannot run inside a transaction block")
    if command.database not in (None, host.database):
        raise InvalidCatalogName(f'database "{command.database}" does not exist')
    folder = Path(command.folder)
    if not folder.is_absolute():
        raise InvalidName("relative path not allowed for BACKUP DATABASE")
    report = host.store.back_up(folder, host.new_run(()).check)
    numbers = (report.files, report.bytes, report.copied, report.copied_bytes)
    batch = Batch.of(*(Column(INT8, np.array([number], np.int64)) for number in numbers))
    fields = tuple(Field(name, INT8) for name in commands.BACKUP_COLUMNS)
    return Rows(fields, iter([batch]), lambda: "BACKUP DATABASE")
