"""A table of figures, as text."""

from __future__ import annotations

import math


class Table:
    """A title, columns, rows: numbers get three significant digits, the first column is text.

    A figure that is not a number stays empty.
    """

    def __init__(self, title: str, columns: tuple[str, ...]) -> None:
        self._title = title
        self._rows: list[tuple[str, ...]] = [columns]

    def row(self, name: str, *figures: float) -> None:
        """Add a row."""
        self._rows.append(
            (name, *("" if math.isnan(f) else f"{f:.3g}" if f < 1000 else f"{f:.0f}" for f in figures))
        )

    def print(self) -> None:
        """Write the table, columns aligned."""
        widths = [max(len(row[i]) for row in self._rows) for i in range(len(self._rows[0]))]
        print(f"\n{self._title}")
        for number, row in enumerate(self._rows):
            cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
            print("  " + "  ".join(cells).rstrip())
            if number == 0:
                print("  " + "  ".join("-" * width for width in widths))
