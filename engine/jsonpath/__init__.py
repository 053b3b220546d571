"""The path language of SQL/JSON: `parse.path` reads it, `shown.text` writes it.

engine.functions.pathexecution runs it.
"""
