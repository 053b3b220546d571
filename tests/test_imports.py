"""Any module may be the first one that is imported: no circle of imports.

Whoever imports a module runs the `__init__` of every folder above it first. Where that one imports the
folder's files (the families of a table), the folder is loaded as one, always in the same order, so it counts
as one module here: its files may know each other, and what they import must not import it.
"""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp

FLOORS = ("storage", "engine", "sql", "server")


def test_no_circles() -> None:
    graph = grimp.build_graph(*FLOORS)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    together = {
        folder for folder in imports if any(name.startswith(f"{folder}.") for name in imports[folder])
    }

    def loaded_as(module: str) -> str:
        parts = module.split(".")
        above = [".".join(parts[:end]) for end in range(1, len(parts))]
        return next((folder for folder in above if folder in together), module)

    order: TopologicalSorter[str] = TopologicalSorter()
    for module, names in imports.items():
        before = {loaded_as(name) for name in names} - {loaded_as(module)}
        order.add(loaded_as(module), *before)
    order.prepare()  # raises CycleError, which names the circle
    assert len(imports) > 500
