"""Your own clients: a function gets `CLIENTS["http"]` as `context.http`.

This module is imported when a function uses the first of them. docs/clients.md has
complete examples, such as:

    CLIENTS = {
        "http": Client(
            create=lambda var: PoolManager(timeout=10, retries=False),
            close=PoolManager.clear,
            unreachable=(HTTPError,),
        ),
    }
"""

from own_clients import Client

CLIENTS: dict[str, Client] = {}
