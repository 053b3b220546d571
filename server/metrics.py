"""What the server counts, for whoever watches it: totals since the start, and what is open now."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Metrics:
    """Counters. Lost updates between threads are possible and do not matter."""

    connections: int = 0
    connections_open: int = 0
    connections_refused: int = 0
    authentication_failures: int = 0
    statements: int = 0
    statements_running: int = 0
    statements_waiting: int = 0  # for a client that does not read
    errors: int = 0
    cancels: int = 0
    rows: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0

    def text(self) -> str:
        """In Prometheus's text format."""
        lines = []
        for field in fields(self):
            gauge = field.name.endswith(("_open", "_running", "_waiting"))
            name = f"glancedb_{field.name}" + ("" if gauge else "_total")
            lines.append(f"# TYPE {name} {'gauge' if gauge else 'counter'}")
            lines.append(f"{name} {getattr(self, field.name)}")
        return "\n".join(lines) + "\n"
