"""The client of the misbehaving function."""

from own_clients import Client
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

CLIENTS = {
    "http": Client(
        create=lambda var: PoolManager(retries=False),
        close=PoolManager.clear,
        unreachable=(HTTPError,),
    )
}
