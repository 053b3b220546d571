"""The system catalogs and information_schema as rows: importing this folder fills registry.VIEWS."""

from sql.views import relations, server, standard, types

__all__ = ["relations", "server", "standard", "types"]
