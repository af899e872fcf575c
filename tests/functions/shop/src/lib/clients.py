"""Your own clients: a function gets `CLIENTS["http"]` as `context.http`."""

from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from own_clients import Client

CLIENTS: dict[str, Client] = {
    "http": Client(
        create=lambda var: PoolManager(timeout=10, retries=False),
        close=PoolManager.clear,
        unreachable=(HTTPError,),
    ),
}
