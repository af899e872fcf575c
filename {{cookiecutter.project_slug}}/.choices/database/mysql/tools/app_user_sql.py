"""The user of functions in MySQL."""

from tools.sql import Execute


def set_password(execute: Execute, user: str, password: str) -> None:
    """Set the password of a user, and create it if needed.

    MySQL writes no password of these statements to its logs.

    Args:
        execute: runs a statement.
        user: its name, in a-z only.
        password: of letters, digits, - and _.
    """
    login = f"'{user}'@'%' IDENTIFIED BY '{password}'"
    execute(f"CREATE USER IF NOT EXISTS {login}")
    execute(f"ALTER USER {login}")
