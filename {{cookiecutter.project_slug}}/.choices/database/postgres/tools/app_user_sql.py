"""The user of functions in PostgreSQL."""

import base64
import hashlib
import hmac
import secrets

from tools.sql import Execute

ITERATIONS = 4096


def set_password(execute: Execute, user: str, password: str) -> None:
    """Set the password of a user, and create it if needed.

    The server gets a SCRAM verifier, so that no log of statements has the password.

    Args:
        execute: runs a statement.
        user: its name, in a-z only.
        password: of ASCII characters.
    """
    users = execute("SELECT rolname::text FROM pg_roles").rows
    action = "ALTER" if (user,) in users else "CREATE"
    execute(f"{action} ROLE {user} LOGIN PASSWORD '{make_verifier(password)}'")


def make_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password.

    https://www.postgresql.org/docs/current/catalog-pg-authid.html
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    text, stored, server = (
        base64.b64encode(each).decode() for each in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${ITERATIONS}:{text}${stored}:{server}"


def end_sessions(execute: Execute, user: str, is_on_aws: bool) -> int:
    """End a user's sessions that are in a transaction; return how many.

    Args:
        execute: runs a statement.
        user: its name.
        is_on_aws: whether the database is Aurora, which needs nothing else.
    """
    ended = execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        f"WHERE usename = '{user}' AND xact_start IS NOT NULL"
    )
    return int(ended.rows[0][0])
