"""glancedb: the Python client of GlanceDB."""
