"""What browsers load: small, ours, and nothing that a strict Content-Security-Policy would refuse."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "api" / "review" / "static"
MODULES = sorted(STATIC.glob("*.mjs"))

_IMPORT = re.compile(r'^import (?:.* from )?"\./([a-z]+\.mjs)";$', re.MULTILINE)


def test_scripts_and_styles_together_stay_below_200_kb() -> None:
    assert sum(path.stat().st_size for path in [*MODULES, *STATIC.glob("*.css")]) < 200_000


def test_every_module_is_reached_from_the_one_that_pages_load() -> None:
    reached, ahead = set(), ["review.mjs"]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += _IMPORT.findall((STATIC / name).read_text())
    assert reached == {path.name for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_makes_no_markup_or_code_from_text_and_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in text
    assert not re.search(r"https?://", text)
    assert len(_IMPORT.findall(text)) == len(re.findall(r"^import\b", text, re.MULTILINE))


def test_every_key_means_one_thing() -> None:
    keymap = (STATIC / "keymap.mjs").read_text()
    keys = re.findall(r'\w+: \["([^"]+)", "', keymap)
    assert len(keys) > 30
    assert len(keys) == len(set(keys))
