"""The three folders of a ComfyUI server, and how names on the wire become paths in them."""

import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"})
VIDEO_EXTENSIONS = frozenset({".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v"})
AUDIO_EXTENSIONS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac"})

_ANNOTATION = re.compile(r" ?\[(input|output|temp)\]$")


@dataclass(frozen=True)
class SaveTarget:
    """Where a save node writes: ``folder / f"{stem}_{counter:05}_.ext"``, listed under ``subfolder``."""

    folder: Path
    stem: str
    counter: int
    subfolder: str

    def filename(self, index: int, extension: str) -> str:
        """The name of the ``index``-th file of one save; ``extension`` comes without its dot."""
        return f"{self.stem.replace('%batch_num%', str(index))}_{self.counter + index:05}_.{extension}"


class Folders:
    """``input``, ``output`` and ``temp`` under one base folder, and ``models`` where somebody made it."""

    def __init__(self, base_dir: Path) -> None:
        self.base = base_dir.resolve()
        self._by_type = {name: self.base / name for name in ("input", "output", "temp")}

    @property
    def input(self) -> Path:
        return self._by_type["input"]

    @property
    def output(self) -> Path:
        return self._by_type["output"]

    @property
    def temp(self) -> Path:
        return self._by_type["temp"]

    def create(self) -> None:
        """Make the folders; what stood in ``temp`` is gone, as after every start of ComfyUI."""
        shutil.rmtree(self.temp, ignore_errors=True)
        for folder in self._by_type.values():
            folder.mkdir(parents=True, exist_ok=True)

    def of_type(self, name: str) -> Path | None:
        """The folder that ``input``, ``output`` or ``temp`` means; None for any other word."""
        return self._by_type.get(name)

    def annotated(self, name: str, default: str = "input") -> Path:
        """The path that ``"sub/file.png"`` or ``"file.png [output]"`` means, whether it exists or not."""
        match = _ANNOTATION.search(name)
        if match:
            return self._by_type[match[1]] / name[: match.start()]
        return self._by_type[default] / name

    def listing(self, extensions: frozenset[str]) -> list[str]:
        """Names of the top-level input files with these extensions, as ``/object_info`` offers them."""
        names = (entry.name for entry in os.scandir(self.input) if entry.is_file())
        return sorted(name for name in names if Path(name).suffix.lower() in extensions)

    def models(self, kind: str) -> list[str]:
        """Names of the model files of a kind (``checkpoints``, ``vae``): files in ``models/<kind>``."""
        folder = self.base / "models" / kind
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())

    def save_target(self, kind: str, prefix: str, size: Sequence[int] = (0, 0)) -> SaveTarget:
        """Expand ``%width%``, ``%year%`` and the like in ``prefix`` and find the next free counter.

        The counter is one above the highest that exists for this prefix, so a deleted name comes back.
        Raises a plain ``Exception`` when the prefix leaves the folder: that type is what ComfyUI reports.
        """
        root = self._by_type[kind]
        expanded = _expand(prefix, size)
        subfolder = os.path.dirname(os.path.normpath(expanded))
        stem = os.path.basename(os.path.normpath(expanded))
        folder = root / subfolder
        if os.path.commonpath((root, os.path.abspath(folder))) != str(root):
            raise Exception(
                "**** ERROR: Saving image outside the output folder is not allowed.\n"
                f" full_output_folder: {os.path.abspath(folder)}\n         output_dir: {root}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return SaveTarget(folder, stem, _highest_counter(folder, stem) + 1, subfolder)


def is_inside(path: Path, root: Path) -> bool:
    """Whether ``path``, with its dots resolved, lies in ``root``."""
    return os.path.commonpath((root, os.path.abspath(path))) == str(root)


def _expand(prefix: str, size: Sequence[int]) -> str:
    now = time.localtime()
    values = {
        "%width%": str(size[0]),
        "%height%": str(size[1]),
        "%year%": str(now.tm_year),
        "%month%": f"{now.tm_mon:02}",
        "%day%": f"{now.tm_mday:02}",
        "%hour%": f"{now.tm_hour:02}",
        "%minute%": f"{now.tm_min:02}",
        "%second%": f"{now.tm_sec:02}",
    }
    for mark, value in values.items():
        prefix = prefix.replace(mark, value)
    return prefix


def _highest_counter(folder: Path, stem: str) -> int:
    start = f"{os.path.normcase(stem)}_"
    highest = 0
    for entry in os.scandir(folder):
        name = os.path.normcase(entry.name)
        if name.startswith(start):
            digits = name[len(start) :].split("_", 1)[0]
            if digits.isdecimal():
                highest = max(highest, int(digits))
    return highest
