"""engine: expressions, functions, aggregates, physical operators, the morsel pool, forms of values.

It works on batches and knows tables as snapshots. It knows no SQL text and no sockets.
"""
