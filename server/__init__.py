"""server: the wire. Messages, connections, TLS, authentication, the listener, the command line.

The only folder that knows asyncio and sockets. It does not know how a query runs.
"""
