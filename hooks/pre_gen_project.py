"""Reject answers that cannot make a working project, with one sentence each."""

import json
import re
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path

# tojson writes every apostrophe as \u0027, so no answer can end this string.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

RECORD = Path(".portable.json")
TEXTS = ("project_name", "description", "author")

# Control, format, separator and surrogate characters are invisible or reorder the
# text around them, such as U+202E. Persian, Indic scripts and emoji need the joiners.
CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"

# An IAM role name has at most 64 characters, and the longest name made from a slug is
# <slug>-<environment>-<function>-execution, with 8 and 20 characters for the two.
ROLE_LIMIT = 64
SLUG_LIMIT = ROLE_LIMIT - len("-") - 8 - len("-") - 20 - len("-execution")

# Names of resources begin with the slug, and AWS keeps some beginnings for itself.
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
RESERVED = {
    "aws": "parameters of Systems Manager",
    "ssm": "parameters of Systems Manager",
    "sg-": "security groups",
    "sthree-": "buckets",
    "amzn-s3-demo-": "buckets",
}

# Regions in which everything that the project deploys is available. `make sql` needs
# the RDS Data API, which decides between the two lists of the partition `aws`.
# As of November 2026. The tests compare all three with botocore's list of regions.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.Aurora_Fea_Regions_DB-eng.Feature.Data_API.html
REGIONS = """
af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1
ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-5 ap-southeast-7 ca-central-1
eu-central-1 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 me-central-1
me-south-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
""".split()
WITHOUT_DATA_API = """
ap-east-2 ap-south-2 ap-southeast-4 ap-southeast-6 ca-west-1 eu-central-2 il-central-1
mx-central-1
""".split()
# Their endpoints, CA bundles and consoles differ, and they lack the Data API, too.
OTHER_PARTITIONS = {
    "cn-north-1": "AWS China",
    "cn-northwest-1": "AWS China",
    "us-gov-east-1": "AWS GovCloud",
    "us-gov-west-1": "AWS GovCloud",
    "eusc-de-east-1": "the AWS European Sovereign Cloud",
}


def find_problem(answers: dict[str, str]) -> str | None:
    """Return a sentence about the first wrong answer, or None if all are fine."""
    texts = (find_text_problem(name, answers[name]) for name in TEXTS)
    return (
        next(filter(None, texts), None)
        or find_slug_problem(answers["project_slug"])
        or find_region_problem(answers["aws_region"])
    )


def find_text_problem(name: str, text: str) -> str | None:
    """Return what is wrong with a free text, or None."""
    if not text.strip():
        return f"{name} is empty: enter at least one letter"
    for character in text:
        is_control = unicodedata.category(character) in CONTROLS
        if is_control and character not in JOINERS:
            return (
                f"{name} {text!r} contains the control character {character!r}: "
                "remove it"
            )
    return None


def find_slug_problem(slug: str) -> str | None:
    """Return what is wrong with the slug, or None."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        return (
            f"project_slug {slug!r} is not a valid name for packages and buckets: use "
            "a-z, 0-9 and single hyphens, start with a letter, end without a hyphen"
        )
    if not 2 <= len(slug) <= SLUG_LIMIT:
        return (
            f"project_slug {slug!r} has {len(slug)} characters: use 2 to {SLUG_LIMIT}, "
            f"because the name of the IAM role <slug>-<environment>-<function>-"
            f"execution must stay within {ROLE_LIMIT}"
        )
    for prefix, what in RESERVED.items():
        if f"{slug}-".startswith(prefix):
            return (
                f"project_slug {slug!r} begins with {prefix!r}, which AWS reserves in "
                f"names of {what}: begin with another word"
            )
    return None


def find_region_problem(region: str) -> str | None:
    """Return what is wrong with the region, or None."""
    if region in REGIONS:
        return None
    if region in WITHOUT_DATA_API:
        return (
            f"aws_region {region!r} has no RDS Data API, which 'make sql' needs: enter "
            f"another, such as {find_neighbor(region)}"
        )
    if region in OTHER_PARTITIONS:
        return (
            f"aws_region {region!r} belongs to {OTHER_PARTITIONS[region]}, which has "
            "other endpoints and certificates and no RDS Data API: enter a region "
            "outside of it, such as eu-west-1"
        )
    return (
        f"aws_region {region!r} is not an AWS region: enter one such as eu-west-1, or "
        "add a newer region to REGIONS in hooks/pre_gen_project.py"
    )


def find_neighbor(region: str) -> str:
    """Return an accepted region on the same continent, if there is one."""
    area = region.split("-")[0]
    near = (each for each in REGIONS if each.startswith(f"{area}-"))
    return next(near, "eu-west-1")


def find_conflict(answers: dict[str, str], record: Path) -> str | None:
    """Return how answers differ from those of the project that they would overwrite.

    `cookiecutter -f` deletes nothing, so the files of both answers would remain. Free
    texts bring no files and may differ.
    """
    try:
        recorded = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        return f"{record} of the existing project is not valid: restore it ({error})"
    for name, answer in recorded.items():
        is_choice = name in answers and name not in TEXTS and not name.startswith("_")
        if is_choice and answer != answers[name]:
            return (
                f"{name} is {answers[name]!r}, but the existing project was generated "
                f"with {answer!r}: its docs/upgrading.md says how to change an answer"
            )
    return None


def remove_empty_directories(slug: str, project: Path) -> None:
    """Remove the directories of a slug such as `a/b`; cookiecutter removes only `b`."""
    parts = Path(slug).parts
    if len(parts) > 1 and ".." not in parts and not Path(slug).is_absolute():
        with suppress(OSError):  # a directory that is not empty existed before
            for directory in (project, *project.parents)[: len(parts)]:
                directory.rmdir()


if __name__ == "__main__":
    if problem := find_problem(ANSWERS) or find_conflict(ANSWERS, RECORD):
        remove_empty_directories(ANSWERS["project_slug"], Path.cwd())
        sys.exit(f"portable: {problem}.")
