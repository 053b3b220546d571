"""Statements about what is on disk: CHECKPOINT."""

from __future__ import annotations

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from storage.errors import InsufficientPrivilege


def checkpoint(host: Host, command: commands.Checkpoint) -> Outcome:
    """CHECKPOINT."""
    if not host.superuser:
        raise InsufficientPrivilege("must be superuser or have privileges of pg_checkpoint to do CHECKPOINT")
    host.store.checkpoint()
    return done("CHECKPOINT")
