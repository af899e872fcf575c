"""Merge a newer version of the template, or other answers, into the project.

The template's changes are the difference between two fresh projects: one of the version
and answers that `.portable.json` records, and one of the new ones. git merges them as
if you had cherry-picked a commit with this difference. Until then nothing in the
project has changed, and afterwards nothing is committed.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.errors import UserError, suggest
from tools.template import RECORD, Template, git

# The user's own files, as the README lists them.
OWN = (
    *("src/func/*", "config/*.yml", "src/lib/clients.py", "tests/test_*.py"),
    *("tests/data/*", "migrations/*", "infra/extra/*"),
)
CRUFT = ".cruft.json"
WHO = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "portable"), ("EMAIL", "portable@localhost"))
}

# The files of a tree: a path relative to the project, and git's mode and object.
Files = dict[str, str]


class Merge(NamedTuple):
    """What is merged, and the template's version of files that stay as they are."""

    base: Files
    new: Files
    kept: Files


def update(
    version: str = "",
    answers: str = "",
    template: str = "",
    project: Path = Path(),
) -> int:
    """Merge a version of the template into a project, or other answers.

    Args:
        version: the version; without one, the newest, or with `answers` the project's.
        answers: the ones to change, such as "database=mysql ci=gitlab".
        template: URL or path of the template; without one, where the project is from.
        project: the project's directory, else the current one.

    Returns:
        0, or 1 if there are conflicts.

    Raises:
        UserError: the project has changes that are not committed, or the update is
            impossible.
    """
    changed = parse_answers(answers)
    project = project.resolve()
    repository = Repository(project)
    record, cruft = read_json(project / RECORD), read_json(project / CRUFT)
    if not record:
        raise UserError(f"{project / RECORD} is missing or damaged: restore it")
    old = {name: str(each) for name, each in record.items() if name[0] != "_"}
    with TemporaryDirectory() as directory:
        origin = Template(template or find_source(record, cruft), Path(directory))
        base = find_base(origin, record, cruft)
        new = base if changed and not version else origin.find_version(version)
        is_newest = base == new or (not version and origin.contains(base, new))
        if is_newest and old == old | changed:
            has = record.get("_version")
            print(f"Nothing to update: the project has version {has}")
            return 0
        kept = check_answers(old, changed, origin.read_questions(new))
        before = repository.add(origin.bake(base, old))
        middle = repository.add(origin.bake(new, kept))
        baked = origin.bake(new, old | changed)
        after = repository.add(baked)
        fresh = read_json(baked / RECORD) | {"_commit": new}
        if "_template" in record and (not template or Path(template).exists()):
            fresh["_template"] = record["_template"]
        text = json.dumps(fresh, indent=2, ensure_ascii=False)
        after[RECORD] = repository.write(f"{text}\n")
        ours = repository.list_files()
        before |= {name: ours[name] for name in (RECORD, CRUFT) if name in ours}
        merge = keep_own_files(ours, before, middle, after)
        repository.check_untracked(ours, merge)
        print_changes(origin, record, fresh, base)
        title = f"Update portable to {fresh['_version']}"
        conflicts = repository.cherry_pick(merge, title)
    return report(repository, merge.kept, conflicts)


def parse_answers(text: str) -> dict[str, str]:
    """Return answers by name.

    Raises:
        UserError: they are not words such as `database=mysql`.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"ANSWERS={text} cannot be split: {error}") from None
    for word in words:
        if "=" not in word:
            raise UserError(f"ANSWERS={text} is not as in ANSWERS='database=mysql'")
    return dict(word.split("=", 1) for word in words)


def check_answers(
    old: Mapping[str, str], changed: Mapping[str, str], questions: Mapping[str, object]
) -> dict[str, str]:
    """Check that a version asks for changed answers and accepts all of them.

    Returns:
        The old answers, without those that the version no longer accepts.

    Raises:
        UserError: it does not.
    """
    kept = dict(old)
    for name, answer in {**old, **changed}.items():
        values = questions.get(name)
        if name in changed and name not in questions:
            raise UserError(
                f"{name!r} in ANSWERS= is no question of the template: "
                f"{suggest(name, questions)}"
            )
        if isinstance(values, list) and answer not in values:
            raise UserError(
                f"{name}={answer} is not an answer of the template: name another in "
                f"ANSWERS=, {suggest(answer, values)}"
            )
        if isinstance(values, list) and old.get(name) not in values:
            kept[name] = answer
    return kept


def read_json(path: Path) -> dict[str, str]:
    """Return the content of a JSON file, nothing if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def find_source(record: Mapping[str, str], cruft: Mapping[str, str]) -> str:
    """Return the URL of the template, or a path that cruft has recorded.

    Raises:
        UserError: none is recorded.
    """
    if source := record.get("_template") or cruft.get("template"):
        return source
    raise UserError(
        "The project does not know its template: name the template's URL or the path "
        "of a clone, as in TEMPLATE=../portable"
    )


def find_base(
    template: Template, record: Mapping[str, str], cruft: Mapping[str, str]
) -> str:
    """Return the commit of the template that the project was made from.

    Projects from before `make update` record a version only, or a commit for cruft.

    Raises:
        UserError: the template does not have it.
    """
    commits = [
        str(each) for each in (record.get("_commit"), cruft.get("commit")) if each
    ]
    tag = f"v{record.get('_version', '')}"
    if found := template.find(*commits, f"refs/tags/{tag}"):
        return found
    raise UserError(
        f"{template.source} has no tag {tag}"
        + "".join(f" and no commit {each}" for each in commits)
        + ", from which the project was made: name another clone with TEMPLATE=, or "
        f'add the right commit to {RECORD} as "_commit"'
    )


def print_changes(
    template: Template,
    record: Mapping[str, str],
    fresh: Mapping[str, str],
    base: str,
) -> None:
    """Print which versions and answers change, and the changelog between them."""
    new = fresh["_commit"]
    if base != new:
        old = record.get("_version", "?")
        print(f"Version: {fresh['_version']} ({new[:7]}), before {old} ({base[:7]})")
    for name, answer in fresh.items():
        if name[0] != "_" and record.get(name) != answer:
            print(f"Answer: {name}={answer}, before {record.get(name, 'not asked')}")
    if entries := template.describe_changes(base, new):
        print(f"\n{entries}")
    print(flush=True)


def is_own(path: str) -> bool:
    """Return whether a file of a project is the user's."""
    return any(fnmatchcase(path, pattern) for pattern in OWN)


def keep_own_files(ours: Files, base: Files, middle: Files, new: Files) -> Merge:
    """Take the user's own files out of what is merged.

    A file that depends on a changed answer, such as a table in SQL, is replaced if the
    user has never changed it.

    Args:
        ours: the project.
        base: a fresh project of the recorded version and answers.
        middle: the same of the new version and recorded answers.
        new: the same of the new version and answers.
    """
    merge = Merge(dict(base), dict(new), {})
    for path in filter(is_own, base.keys() | new.keys()):
        depends = middle.get(path) != new.get(path)
        if depends and ours.get(path) == base.get(path):
            continue
        if depends and path in new:
            merge.kept[path] = new[path]
        for files in (merge.base, merge.new):
            files.pop(path, None)
            if path in ours:
                files[path] = ours[path]
    return merge


def report(
    repository: "Repository", kept: Mapping[str, str], conflicts: Iterable[str]
) -> int:
    """Print what is left to do; return the exit code."""
    for path, entry in kept.items():
        print(f"Yours, so not changed: {path}")
        print(f"  for the new answers see: git show {entry.split()[1][:12]}")
    unresolved = sorted(conflicts)
    for path in unresolved:
        print(f"Conflict: {path}")
    changed = len(repository.git("diff", "--name-only", "HEAD").stdout.splitlines())
    print(f"{changed} files have changed, and nothing is committed")
    print("  to review:  git diff HEAD")
    print("  to undo:    git reset --hard")
    if unresolved:
        print("  to resolve: edit each file with a conflict, then git add it")
    print("  to finish:  make lint test, then git commit")
    return 1 if unresolved else 0


class Repository:
    """The git repository of a project, which may be one of its subdirectories.

    Raises:
        UserError: there is none, it has no commit, or changes that are not committed.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        found = self.git("rev-parse", "--verify", "--quiet", "HEAD", check=False)
        if found.returncode != 0:
            raise UserError(
                f"{project} is in no git repository with a commit: commit it"
            )
        words = ("rev-parse", "--absolute-git-dir", "--show-prefix")
        self._directory, self._prefix = self.git(*words).stdout.split("\n")[:2]
        if self.git("status", "--porcelain", "--untracked-files=no").stdout:
            raise UserError(
                "The repository has changes that are not committed: commit them, or "
                "undo an interrupted update with git reset --hard"
            )

    def git(
        self,
        *words: str,
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run git in the project."""
        words = ("-C", str(self._project), *words)
        return git(*words, environment=environment, text=text, check=check)

    def list_files(self) -> Files:
        """Return the files of the project's last commit."""
        return parse_entries(self.git("ls-tree", "-rz", "HEAD").stdout)

    def add(self, directory: Path) -> Files:
        """Add the files of a directory to git's objects, and to no commit."""
        with TemporaryDirectory() as scratch:
            environment = {
                "GIT_DIR": self._directory,
                "GIT_WORK_TREE": str(directory),
                "GIT_INDEX_FILE": f"{scratch}/index",
            }
            git("-C", str(directory), "add", "--all", ".", environment=environment)
            tree = git("write-tree", environment=environment).stdout.strip()
        return parse_entries(self.git("ls-tree", "-rz", "--full-tree", tree).stdout)

    def write(self, text: str) -> str:
        """Add a file's content to git's objects; return its mode and object."""
        found = self.git("hash-object", "-w", "--stdin", text=text).stdout.strip()
        return f"100644 {found}"

    def commit(self, files: Files, title: str, *parents: str) -> str:
        """Return a commit, on no branch, whose project consists of some files."""
        everything = parse_entries(
            self.git("ls-tree", "-rz", "--full-tree", "HEAD").stdout
        )
        entries = {
            path: entry
            for path, entry in everything.items()
            if not path.startswith(self._prefix)
        }
        entries |= {f"{self._prefix}{path}": entry for path, entry in files.items()}
        lines = "".join(f"{entry}\t{path}\0" for path, entry in entries.items())
        with TemporaryDirectory() as scratch:
            environment = {"GIT_INDEX_FILE": f"{scratch}/index"}
            update_index = ("update-index", "-z", "--index-info")
            self.git(*update_index, environment=environment, text=lines)
            tree = self.git("write-tree", environment=environment).stdout.strip()
        words = ["commit-tree", "--no-gpg-sign", tree, "-m", title]
        words += [f"-p{parent}" for parent in parents]
        return self.git(*words, environment=WHO).stdout.strip()

    def check_untracked(self, ours: Files, merge: Merge) -> None:
        """Check that a merge writes no file that git does not track.

        A copy of the new file, which an interrupted update has left, is deleted.

        Raises:
            UserError: it would.
        """
        new = merge.new
        for path in new.keys() - ours.keys():
            if new[path] == merge.base.get(path):
                continue
            file = self._project / path
            if not os.path.lexists(file):
                continue
            found = self.git("hash-object", "--", path, check=False).stdout.strip()
            if file.is_symlink() or found != new[path].split()[1]:
                raise UserError(
                    f"{path} is not committed, and the template has such a file: "
                    "commit it or move it away"
                )
            file.unlink()

    def cherry_pick(self, merge: Merge, title: str) -> set[str]:
        """Apply the difference between two trees to the working tree and the index.

        A file that the user has deleted stays deleted.

        Returns:
            The files with conflicts, relative to the project.

        Raises:
            UserError: git refuses.
        """
        picked = self.commit(merge.new, title, self.commit(merge.base, title))
        settings = ("-c", "merge.directoryRenames=false", "-c", "merge.renames=true")
        words = ("cherry-pick", "--no-commit", picked)
        done = self.git(*settings, *words, environment=WHO, check=False)
        stages: dict[str, set[str]] = {}
        for line in self.git("ls-files", "-uz").stdout.split("\0")[:-1]:
            entry, _, path = line.partition("\t")
            stages.setdefault(path, set()).add(entry.split()[2])
        if done.returncode != 0 and not stages:
            raise UserError(f"git cannot merge:\n{done.stderr.strip()}")
        deleted = {path for path, found in stages.items() if found == {"1", "3"}}
        if deleted:
            self.git("rm", "--quiet", "--force", "--", *sorted(deleted))
        return stages.keys() - deleted


def parse_entries(text: str) -> Files:
    """Return the files that `git ls-tree -z` lists."""
    lines = (line.partition("\t") for line in text.split("\0")[:-1])
    return {path: f"{entry.split()[0]} {entry.split()[2]}" for entry, _, path in lines}
