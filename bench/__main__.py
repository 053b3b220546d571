"""`python -m bench [NAME ...]`: run the named benches, or all of them, and print their tables."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench

_NOT_BENCHES = frozenset(
    {"__main__", "peers", "pictures", "questions", "table", "timing", "tpchdata", "vectors"}
)


def main(names: list[str]) -> int:
    """Run the benches; each is a module of this folder with a `main()` that prints its table."""
    known = [
        module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in _NOT_BENCHES
    ]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
