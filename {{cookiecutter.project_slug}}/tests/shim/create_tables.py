"""Creates the tables of the shim's database, from `migrations/` as everywhere.

It needs the packages of `.venv`. Without the variables of a shim it uses those that
`docker-compose.yml` sets.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Apply all files to the database that the environment names; return 0."""
    sys.path[0] = str(ROOT)
    from tests.shim.database import PORT
    from tools import migrate, migrations
    from tools.errors import UserError

    defaults = {"DB_HOST": "127.0.0.1", "DB_PORT": str(PORT), "DB_ADMIN": "worker"}
    for name, value in {**defaults, "DB_PASS": "shim", "DB_NAME": "main"}.items():
        os.environ.setdefault(name, value)
    try:
        migrate.apply_to_shim(migrations.read_all(), os.environ["DB_NAME"])
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
