"""Keys: how values are compared and hashed, hash indexes of sealed and of new rows, unique checks."""
