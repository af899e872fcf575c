"""Refuses answers that make no working project, in one sentence each."""

import json
import re
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path

# tojson writes every apostrophe as \u0027, so nothing in an answer ends this string
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

TEXTS = ("project_name", "description", "author")

# An IAM role's name has at most 64 characters, and the longest made from a slug is
# <slug>-<environment>-<function>-execution, with 8 and 20 characters for the two.
ROLE_LIMIT = 64
SLUG_LIMIT = ROLE_LIMIT - len("-") - 8 - len("-") - 20 - len("-execution")

REGIONS = """
af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3
ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4
ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1
eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2
us-west-1 us-west-2 cn-north-1 cn-northwest-1 us-gov-east-1 us-gov-west-1
eusc-de-east-1
""".split()


def refusal(answers: dict[str, str]) -> str | None:
    """Return what is wrong with the answers, or nothing."""
    for name in TEXTS:
        if not answers[name].strip():
            return f"{name} is empty: give it at least one letter"
        for character in answers[name]:
            if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs"):
                return f"{name} has the control character {character!r}: leave it out"
    slug = answers["project_slug"]
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        return (
            f"project_slug {slug!r} is no DNS label that a Python package and a bucket "
            "may have: use a-z and 0-9, begin with a letter, part words by one hyphen"
        )
    if not 2 <= len(slug) <= SLUG_LIMIT:
        return (
            f"project_slug {slug!r} has {len(slug)} characters: use 2 to {SLUG_LIMIT}, "
            f"so that the longest name made from it, the IAM role <slug>-<environment>-"
            f"<function>-execution, stays within {ROLE_LIMIT}"
        )
    if answers["aws_region"] not in REGIONS:
        return (
            f"aws_region {answers['aws_region']!r} is none of AWS's: name one such as "
            "eu-west-1, or add a newer one to REGIONS in hooks/pre_gen_project.py"
        )
    return None


def remove_empty_folders(slug: str, project: Path) -> None:
    """Remove the folders of a slug such as `a/b`: cookiecutter removes `b` only."""
    parts = Path(slug).parts
    if len(parts) > 1 and ".." not in parts and not Path(slug).is_absolute():
        with suppress(OSError):  # a folder that is not empty was there before
            for folder in (project, *project.parents)[: len(parts)]:
                folder.rmdir()


if __name__ == "__main__":
    if reason := refusal(ANSWERS):
        remove_empty_folders(ANSWERS["project_slug"], Path.cwd())
        sys.exit(f"portable: {reason}.")
