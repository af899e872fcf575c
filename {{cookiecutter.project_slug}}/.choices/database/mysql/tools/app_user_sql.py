"""The user of functions in MySQL."""

from contextlib import suppress

from tools.errors import UserError
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


def end_sessions(execute: Execute, user: str, is_on_aws: bool) -> int:
    """End a user's sessions that are in a transaction; return how many.

    Args:
        execute: runs a statement.
        user: its name.
        is_on_aws: whether the database is Aurora, where a procedure ends sessions:
            https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/mysql-stored-proc-ending.html
    """
    sessions = execute(
        "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx "
        "JOIN information_schema.processlist ON id = trx_mysql_thread_id "
        f"WHERE user = '{user}'"
    ).rows
    ended = 0
    for (session,) in sessions:
        with suppress(UserError):  # it has ended by itself
            call = f"CALL mysql.rds_kill({session})" if is_on_aws else f"KILL {session}"
            execute(call)
            ended += 1
    return ended
