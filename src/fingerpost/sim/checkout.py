"""Which commit the running code is: what a failing seed needs beside its options, to be the same run elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

GIT_SECONDS_MAX = 10.0


def commit_of_this_code() -> str | None:
    """Return the commit that this package is checked out at, marked ``-dirty`` when files differ; None elsewhere."""
    here, git = Path(__file__).resolve(), shutil.which("git")
    if git is None or _said_by(git, ["ls-files", "--error-unmatch", here.name], here.parent) is None:
        return None
    return _said_by(git, ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], here.parent)


def _said_by(git: str, arguments: list[str], folder: Path) -> str | None:
    try:
        run = subprocess.run(  # noqa: S603 - a fixed command on the folder of this package
            [git, *arguments], cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip() or None
