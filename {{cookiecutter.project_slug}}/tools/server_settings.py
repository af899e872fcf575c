"""Check settings of a database server that no session can change."""

from tools import sql, unsafe_settings
from tools.environment import enter


def check(env: str) -> int:
    """Print a sentence for each setting with which a commit may be lost.

    Args:
        env: an environment of `config/deploy.yml`; empty for the shim.

    Returns:
        The exit code: 0 if all are safe, 2 if not.

    Raises:
        UserError: the database cannot be asked.
    """
    with sql.connect(enter(env)) as execute:
        problems = unsafe_settings.find(execute)
    print(*problems, sep="\n")
    return 2 if problems else 0
