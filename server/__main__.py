"""`python -m server` is `glancedb`."""

from server.main import main

main()
