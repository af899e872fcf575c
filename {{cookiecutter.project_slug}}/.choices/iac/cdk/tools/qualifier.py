"""Name the CDK bootstrap of an environment."""

import hashlib


def make_qualifier(project: str, env: str) -> str:
    """Return the name of an environment's bucket and roles for CDK, of ten characters.

    With CDK's own name, all environments and projects of an account would share roles.
    """
    return hashlib.sha256(f"{project}-{env}".encode()).hexdigest()[:10]
