"""Names that CDK's app and its command line share."""

import hashlib


def make_qualifier(project: str, env: str) -> str:
    """Return the name of an environment's bucket and roles for CDK, of ten characters.

    With CDK's own name, all environments and projects of an account would share roles.
    """
    return hashlib.sha256(f"{project}-{env}".encode()).hexdigest()[:10]


def name_parameter(function: str) -> str:
    """Return the parameter with the task definition that a function's service keeps."""
    return f"Kept{function.replace('_', 'X')}"  # CloudFormation accepts no underscore
