"""What is never written into a tracked file: other people's places, and unfinished business."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Data that others wrote and that is kept as it came.
GIVEN = ("tests/data/",)
#: Spelled in pieces, so that this file is not its own first finding.
FORBIDDEN = {
    "an absolute path of one machine": r"(?<![\w.~])/(?:work|" + r"root|" + r"Users)/\w",
    "a package index's host": r"(?:pypi|files\.python" + r"hosted|registry\.npm" + r"js)\.(?:org|io)",
    "an index option": r"--(?:extra-)?index" + r"-url[ =]http",
    "unfinished business": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE" + r" KEY-----",
    "an emoji": "[\U0001f300-\U0001faff\u2705\u274c\u2728]",
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name and not name.startswith(GIVEN)]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # an image or a saved history
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(FORBIDDEN[what], line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("an absolute path of one machine", 'open("/ro' + 'ot/x")'),
        ("a package index's host", "https://py" + "pi.org/simple"),
        ("unfinished business", "# TO" + "DO: later"),
        ("an emoji", "done \u2705"),
    ],
)
def test_it_would_be_found(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line)
