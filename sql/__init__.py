"""sql: from text to operators. Parse, bind, rewrite, plan, statements, sessions, catalog views.

The only folder that knows sqlglot. It knows no sockets.
"""
