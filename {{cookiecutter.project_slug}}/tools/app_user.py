"""Create the functions' user in Aurora, and change its password.

The user has the rights of `tools/grants.sql`. Only its secret holds the password, which
is random. The master user, whose secret AWS rotates, is for this and for migrations.
"""

import json
import secrets

from tools import app_user_sql, sql
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.project import ROOT

USER = "app"
GRANTS = ROOT / "tools" / "grants.sql"


def rotate(env: str) -> int:
    """Change the password of the functions' user; return 0.

    Args:
        env: an environment of `config/deploy.yml`.

    Raises:
        UserError: see `set_password`.
    """
    set_password(enter(env))
    return 0


def set_password(environment: Environment) -> None:
    """Give the functions' user a new password and its rights; create it if needed.

    Connections that are open stay so. Functions read the secret again when the database
    refuses their login.

    Raises:
        UserError: there is no database or secret yet, or the database is not the
            project's.
    """
    if not environment.is_on_aws:
        raise UserError(
            f"{environment} has no password to change: use an environment on AWS"
        )
    password = secrets.token_urlsafe(32)
    execute = sql.connect_data_api(environment)
    name = environment.spec["database"]["DB_SECRET"]
    app_user_sql.set_password(execute, USER, password)
    # at once: if this is killed in between, functions cannot log in until the next one
    client("secretsmanager").put_secret_value(
        SecretId=name,
        SecretString=json.dumps({"username": USER, "password": password}),
    )
    for statement in read_grants():
        execute(statement)
    print(f"The functions' user has a new password, which is in the secret {name}.")


def read_grants() -> list[str]:
    """Return the statements of `tools/grants.sql`."""
    lines = GRANTS.read_text(encoding="utf-8").splitlines()
    text = " ".join(line for line in lines if not line.startswith("--"))
    return [each.strip() for each in text.split(";") if each.strip()]
