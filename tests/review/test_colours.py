"""The style sheet's colours: contrasts by WCAG 2.2, in light and dark, computed from its properties."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[2] / "api" / "review" / "static" / "review.css").read_text()
_PROPERTY = re.compile(r"--([a-z-]+): (#[0-9a-f]{6});")

#: Text on its ground: AA wants 4.5.
TEXTS = [
    ("ink", "paper"),
    ("ink", "surface"),
    ("muted", "paper"),
    ("muted", "surface"),
    ("accent", "paper"),
    ("accent", "surface"),
    ("on-accent", "accent"),
    ("bad", "surface"),
    ("bad", "paper"),
    ("wait", "surface"),
    ("good", "surface"),
    ("busy", "surface"),
    ("calm", "surface"),
    ("on-surround", "surround"),
    ("good", "good-soft"),
    ("bad", "bad-soft"),
    ("wait", "wait-soft"),
    ("busy", "busy-soft"),
    ("calm", "calm-soft"),
    ("ink", "calm-soft"),
    ("ink", "wait-soft"),
    ("muted", "wait-soft"),
]
#: Edges of fields and buttons, lines of the picture and focus rings: AA wants 3.
SHAPES = [
    ("edge", "surface"),
    ("edge", "paper"),
    ("accent", "surface"),
    ("accent", "paper"),
    ("good", "surface"),
]


def palette(scheme: str) -> dict[str, str]:
    light, _, dark = CSS.partition("@media (prefers-color-scheme: dark)")
    colours = dict(_PROPERTY.findall(light))
    return colours if scheme == "light" else colours | dict(_PROPERTY.findall(dark))


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_stand_out_from_their_ground(scheme: str) -> None:
    colours = palette(scheme)
    for pairs, least in ((TEXTS, 4.5), (SHAPES, 3.0)):
        weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
        assert {pair: ratio for pair, ratio in weak.items() if ratio < least} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_surrounds_a_picture_is_neutral_grey(scheme: str) -> None:
    surround = palette(scheme)["surround"]
    assert surround[1:3] == surround[3:5] == surround[5:7]


def test_every_colour_outside_the_palette_belongs_to_the_checkerboard() -> None:
    rules = CSS.partition("*, *::before")[2]
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) <= {"#9a9a9a", "#c8c8c8"}


def test_the_dark_scheme_changes_every_colour_that_lies_on_its_grounds() -> None:
    light, dark = palette("light"), palette("dark")
    assert {name for name in light if light[name] == dark[name]} <= {"on-surround"}
