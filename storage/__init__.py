"""storage: types, columns, batches, kernels, encodings, segments, tables, versions, the log, the catalog.

The ground floor. It knows nothing of plans, SQL text or sockets; what it keeps of SQL (defaults,
checks) is text to it.
"""
