"""The documents as the tests read them: code, commands, links, paths; and the studies that their code uses."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.brain.heads import moving, scanned
from tests.scans.phantom import write_scan
from tests.studies import SPACING_MM, head

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
COMMANDS = ("python train.py", "python predict.py", "python -m mri3d", "mri3d ", "make ")

TRACE = """
import inspect, json, runpy, sys, threading
root, calls = sys.argv.pop(1) + "/", set()
def file_of(frame):
    name = frame.f_code.co_filename
    return name.removeprefix(root) if name.startswith((root + "mri3d/", root + "train.py")) else None
def profile(frame, event, argument):
    if event == "call" and file_of(frame) and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        caller = frame.f_back
        while caller and not file_of(caller):
            caller = caller.f_back
        if caller:
            calls.add((file_of(caller), file_of(frame)))
sys.argv[0] = root + "train.py"
sys.path.insert(0, root)
sys.setprofile(profile)
threading.setprofile(profile)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    sys.setprofile(None)
    print(json.dumps(sorted(calls)))
"""
"""Runs `train.py` and prints which files of the repository call which: arguments are its root, then the options."""

_FENCE = re.compile(r"^```(\w+) *(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: After the fence.
        file: Name of the file that it stands for, after the language; empty where there is none.
        text: What it holds.
        output: What it prints, by the block of plain text that follows it; None where none does.
    """

    language: str
    file: str
    text: str
    output: str | None = None


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    results = []
    for number, match in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else None
        printed = after and after[1] == "text" and not text[match.end() : after.start()].strip()
        results.append(Block(match[1], match[2], match[3], after[3] if after and printed else None))
    return results


def commands(page: Path) -> list[str]:
    """Return the commands of a page, in indented lines and between backticks, without the comments behind them."""
    text = re.sub(r"\s*\\\n *", " ", page.read_text(encoding="utf-8"))
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    inline = [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    found = [line.partition(" # ")[0].strip() for line in [*lines, *inline]]
    return list(dict.fromkeys(line for line in found if line.startswith(COMMANDS)))


def links(page: Path) -> Iterator[str]:
    """Yield what a page links to, but for addresses of the web."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            yield target


def paths(page: Path) -> list[str]:
    """Return what a page names as files and folders of the repository: between backticks and in its drawings."""
    text = page.read_text(encoding="utf-8")
    code = [*re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text), *(line for line in text.splitlines() if line[:4] == "    ")]
    words = [word.strip("`,;:()|") for piece in code for word in piece.split()]
    top = {entry.name for entry in ROOT.iterdir()} - {"runs", "results"}
    inside = re.compile(r"[\w.-]+(/[\w.*-]+)*/?")
    return sorted(
        {
            word
            for word in words
            if inside.fullmatch(word)
            and (word.partition("/")[0] in top or word.endswith((".py", ".md", ".yaml", ".toml", ".json")))
            and ("/" in word or "." in word)
        }
    )


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def write_study(root: Path, *, num_heads: int = 24) -> None:
    """Write `subjects.csv` (subject, sex, age, family) and `T1/<subject>_T1.nii.gz`; men's and older heads differ."""
    (root / "T1").mkdir(parents=True)
    rows = []
    for number in range(num_heads):
        subject, age = f"s{number:02}", 20 + 2 * number
        data = head(1 + 0.5 * (number % 2) + age / 100, seed=number)
        write_scan(root / "T1" / f"{subject}_T1.nii.gz", data, np.diag([*SPACING_MM, 1.0]))
        rows.append({"subject": subject, "sex": "FM"[number % 2], "age": age, "family": f"f{number // 4}"})
    _write_table(root / "subjects.csv", rows, ",")


def write_seed_study(root: Path, *, num_heads: int = 16) -> None:
    """Write `subjects.csv` (Subject, class; the last one 0) and `brain_nii/<Subject>.nii`, as the seed study has it."""
    (root / "brain_nii").mkdir(parents=True)
    rows = []
    for number in range(num_heads):
        data = head(1 + 0.5 * (number % 2), seed=100 + number)
        write_scan(root / "brain_nii" / f"{1000 + number}.nii", data, np.diag([*SPACING_MM, 1.0]))
        label = 0 if number == num_heads - 1 else (1, -1)[number % 2]
        rows.append({"Subject": 1000 + number, "class": label})
    _write_table(root / "subjects.csv", rows, ",")


def write_bids(root: Path, *, num_heads: int = 12) -> None:
    """Write `participants.tsv` (participant_id, group, age) and a T1w scan of each participant."""
    rows = []
    for number in range(num_heads):
        name = f"sub-{number + 1:02}"
        (root / name / "anat").mkdir(parents=True)
        data = head(1 + 0.5 * (number % 2), seed=200 + number)
        write_scan(root / name / "anat" / f"{name}_T1w.nii.gz", data, np.diag([*SPACING_MM, 1.0]))
        rows.append({"participant_id": name, "group": ("control", "depr")[number % 2], "age": 30 + 3 * number})
    _write_table(root / "participants.tsv", rows, "\t")


def write_brains(root: Path, *, num_heads: int = 10) -> None:
    """Write a BIDS folder as `write_bids` does, of brains: the template's, in poses and contrasts of their own."""
    write_bids(root, num_heads=num_heads)
    for number in range(num_heads):
        seen = scanned(moving((number, -number, 3), (number, 0, 5), 0.95 + 0.01 * number), (3.0, 3.0, 3.0), seed=number)
        name = f"sub-{number + 1:02}"
        write_scan(root / name / "anat" / f"{name}_T1w.nii.gz", seen.brain, seen.affine)


def _write_table(path: Path, rows: list[dict[str, object]], delimiter: str) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
