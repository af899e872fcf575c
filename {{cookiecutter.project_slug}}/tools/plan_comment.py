"""Comment on a pull request with the plan of a deployment, from a CI job.

The job's environment says which service runs it: GitHub Actions, GitLab CI/CD, or
CircleCI for a repository on GitHub. A later plan replaces the comment of an earlier
one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tools.errors import UserError
from tools.project import answers


@dataclass(frozen=True)
class Comments:
    """The comments of one pull or merge request.

    Attributes:
        forge: name of the service that keeps them.
        url: where they are listed and created.
        comment_url: where one is changed, without the slash and its id.
        update_method: HTTP method that changes one.
        headers: HTTP headers with the job's token.
        limit: characters of a plan that fit into one comment.
    """

    forge: str
    url: str
    comment_url: str
    update_method: str
    headers: dict[str, str]
    limit: int

    def __iter__(self) -> Iterator[Any]:
        """Yield the comments, from all pages."""
        page = 1
        while found := self._request("GET", f"{self.url}?per_page=100&page={page}"):
            yield from found
            page += 1

    def create(self, text: str) -> None:
        """Add a comment."""
        self._request("POST", self.url, {"body": text})

    def update(self, comment_id: int, text: str) -> None:
        """Replace the text of a comment."""
        url = f"{self.comment_url}/{comment_id}"
        self._request(self.update_method, url, {"body": text})

    def _request(
        self, method: str, url: str, content: dict[str, str] | None = None
    ) -> Any:
        try:
            answer = urllib3.request(
                method, url, headers=self.headers, json=content, timeout=30
            )
        except urllib3.exceptions.HTTPError as error:
            raise UserError(f"{self.forge} cannot be reached: {error}") from error
        if answer.status >= 400:
            raise UserError(
                f"{self.forge} rejects {method} {url} with {answer.status} "
                f"{answer.reason}: see docs/ci.md for what the token needs"
            )
        return answer.json()


def post(report: Path) -> int:
    """Write a plan into the comment of this job's pull or merge request; return 0.

    Without such a request this only prints that there is none.

    Args:
        report: file with the plan, as `make plan REPORT=…` writes it.

    Raises:
        UserError: there is no such file, this is no CI job, its token is missing, or
            the service rejects a request or cannot be reached.
    """
    if not report.is_file():
        raise UserError(
            f"REPORT={report} is no file: make plan REPORT=.build/plan.txt writes one"
        )
    comments = find_comments()
    if comments is None:
        print(f"There is no pull request to comment on: the plan is only in {report}.")
        return 0
    title = f"### Planned changes of {answers().project_slug}"
    text = comment_text(title, report.read_text(encoding="utf-8"), comments.limit)
    for comment in comments:
        if comment["body"].startswith(f"{title}\n"):
            comments.update(comment["id"], text)
            return 0
    comments.create(text)
    return 0


def comment_text(title: str, plan: str, limit: int) -> str:
    """Return the comment's Markdown; of a longer plan it has the last characters."""
    cut = f"… {len(plan) - limit:,} characters more\n" if len(plan) > limit else ""
    return f"{title}\n\n~~~~\n{cut}{plan[-limit:]}\n~~~~\n"


def find_comments() -> Comments | None:
    """Return the comments of this job's request, or None if it has no request.

    Raises:
        UserError: this is no CI job, or its token is missing.
    """
    if "GITHUB_ACTIONS" in os.environ:
        # refs/pull/<number>/merge
        kind, number = os.environ["GITHUB_REF"].split("/")[1:3]
        repository = os.environ["GITHUB_REPOSITORY"]
        return github(repository, number) if kind == "pull" else None
    if "GITLAB_CI" in os.environ:
        number = os.environ.get("CI_MERGE_REQUEST_IID", "")
        return gitlab(number) if number else None
    if "CIRCLECI" in os.environ:
        # https://github.com/<owner>/<repository>/pull/<number>
        url = os.environ.get("CIRCLE_PULL_REQUEST", "")
        *_, owner, name, _, number = f"/////{url}".split("/")
        return github(f"{owner}/{name}", number) if number else None
    raise UserError(
        "this is no job of GitHub Actions, GitLab CI/CD or CircleCI: run make plan to "
        "see the plan here"
    )


def github(repository: str, number: str) -> Comments:
    """Return the comments of a pull request of GitHub, given `owner/name`."""
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    issues = f"{api}/repos/{repository}/issues"
    return Comments(
        forge="GitHub",
        url=f"{issues}/{number}/comments",
        comment_url=f"{issues}/comments",
        update_method="PATCH",
        headers={"Authorization": f"Bearer {token('GITHUB_TOKEN')}"},
        limit=60_000,  # GitHub accepts 65,536
    )


def gitlab(number: str) -> Comments:
    """Return the notes of a merge request of GitLab."""
    project = f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}"
    notes = f"{project}/merge_requests/{number}/notes"
    return Comments(
        forge="GitLab",
        url=notes,
        comment_url=notes,
        update_method="PUT",
        headers={"PRIVATE-TOKEN": token("GITLAB_TOKEN")},
        limit=500_000,  # GitLab accepts 1,000,000 characters
    )


def token(name: str) -> str:
    """Return the token that an environment variable holds."""
    if value := os.environ.get(name):
        return value
    raise UserError(f"{name} is not set: see docs/ci.md for how to get one")
