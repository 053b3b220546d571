"""glancedb: the Python client of GlanceDB. Embed pictures, load them, find the ones that look alike.

embedder = glancedb.Embedder(glancedb.default_model())
async with await glancedb.connect() as client:
    await client.find("pictures", embedder.file(path), above=0.9)
"""

from glancedb.client import Client, Found, Item, connect
from glancedb.embed import Embedded, Embedder
from glancedb.packages import default_model, default_pictures

__version__ = "0.1.0"
__all__ = [
    "Client",
    "Embedded",
    "Embedder",
    "Found",
    "Item",
    "connect",
    "default_model",
    "default_pictures",
]
