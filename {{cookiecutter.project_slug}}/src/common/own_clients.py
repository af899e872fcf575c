"""The clients that `src/lib/clients.py` declares: created, checked and closed."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import log
from errors import declare_client, describe

if TYPE_CHECKING:
    from context import CustomContext


class Client(NamedTuple):
    """The declaration of a client, which a context creates on first use.

    Attributes:
        create: returns a new client, given the settings.
        close: closes a client.
        check: raises if a client no longer works. It is called before the first use for
            each message. If it raises, the client is closed and created again.
        unreachable: types of errors that say that the service cannot be reached. Then
            the message returns after `retry_delay`, and other messages go on.
    """

    create: Callable[[Any], Any]
    close: Callable[[Any], Any] | None = None
    check: Callable[[Any], Any] | None = None
    unreachable: tuple[type[BaseException], ...] = ()


class OwnClients:
    """The clients that a context has created, by name."""

    def __init__(self, context: "CustomContext") -> None:
        self._context = context
        self._clients: dict[str, Any] = {}
        self._checked: dict[str, Any] = {}  # the message that each was checked for

    def find(self, name: str) -> Any:
        """Return a client, which is created if it does not exist or no longer works.

        Raises:
            AttributeError: `lib.clients` declares no client of this name.
        """
        declaration = _find_declaration(name)
        message = self._context.message
        if name in self._clients and self._checked[name] is not message:
            self._check(name, declaration)
        if name not in self._clients:
            declare_client(name, declaration.unreachable)  # `create` may raise them
            self._clients[name] = declaration.create(self._context.var)
        self._checked[name] = message
        return self._clients[name]

    def close(self) -> None:
        """Close all clients. The next use creates new ones."""
        for name in list(self._clients):
            self._close(name, _find_declaration(name))

    def _check(self, name: str, declaration: Client) -> None:
        try:
            if declaration.check:
                declaration.check(self._clients[name])
        except Exception as error:
            log.logger.info("the client %s is created again: %s", name, describe(error))
            self._close(name, declaration)

    def _close(self, name: str, declaration: Client) -> None:
        client = self._clients.pop(name)
        try:
            if declaration.close:
                declaration.close(client)
        except Exception as error:
            log.logger.warning("closing the client %s: %s", name, describe(error))


def _find_declaration(name: str) -> Client:
    clients: dict[str, Client] = import_module("lib.clients").CLIENTS
    if name not in clients:
        from settings_reader import closest

        hint = closest(name, clients) or ": declare it there"
        raise AttributeError(f"src/lib/clients.py has no client {name}{hint}")
    return clients[name]
