"""Ask before something is lost or costs money."""

import sys

from tools.errors import UserError


def require(question: str, name: str, what: str, confirm: str) -> None:
    """Require that a name is typed, on the terminal or as CONFIRM.

    Args:
        question: a sentence that says what will happen.
        name: what has to be typed.
        what: a description of the name, such as "the function's name".
        confirm: what was typed as CONFIRM; empty to ask.

    Raises:
        UserError: there is no terminal, or another name or nothing was typed.
    """
    if not confirm:
        if not sys.stdin.isatty():
            raise UserError(
                f"{question} Without a terminal, confirm with CONFIRM={name}"
            )
        try:
            confirm = input(f"{question}\nType {what} to confirm: ").strip()
        except EOFError:  # Ctrl-D
            print()
    if confirm != name:
        raise UserError(f"{confirm!r} is not {name}: nothing was done")
