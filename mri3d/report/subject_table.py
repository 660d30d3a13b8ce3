"""The table of all tested subjects: the most wrong on top, each with its heatmap and the training scans most like it.

Without JavaScript it is a table with pictures; `subject_table.js` sorts it and narrows it down.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from mri3d.report.elements import Html, Script, Scripted, element, num_decimals, number, tag
from mri3d.report.sprites import Sprites, Tile
from mri3d.report.viewer import view_button
from mri3d.texts import natural_order, number_text, parse_number

_PICTURES = (
    "Pictures are sagittal, coronal and axial planes through the strongest place of the heatmap, or through the middle "
    "of the head where there is none; the person's left is on the left."
)
_GAP = 0.75  # rem between columns
_WIDEST = 71.0  # rem of a table whose header can stay in sight; wider ones scroll sideways


@dataclass(frozen=True, eq=False)
class SimilarScan:
    """A training scan that is like a tested one.

    Attributes:
        name: Of its subject.
        label: Its true class or value.
        similarity: How like it is.
        picture: The scan, see `sprites.tile`: one tile, however many subjects it is like. None where there is none.
    """

    name: str
    label: str
    similarity: float
    picture: Tile | None = None


@dataclass(frozen=True, eq=False)
class SubjectShown:
    """A test of a subject: a row of the table.

    Attributes:
        name: Of the subject.
        fold: In which it was tested.
        truth: Its true class or value.
        prediction: The predicted one.
        values: Title to number: the probability of each class, or what else is known of a prediction; NaN where it is
            not defined.
        wrongness: Orders the table, the largest first; NaN last.
        correct: Whether the prediction is right; None for a measure.
        picture: The scan with its heatmap, see `sprites.tile`; None where there is none.
        similar: The training scans most like it, the most similar first.
        notes: What to know: warnings, why there is no heatmap.
        viewed: By what name the viewer of the page has the scan; empty where it has not.
    """

    name: str
    fold: int
    truth: str
    prediction: str
    values: Mapping[str, float]
    wrongness: float
    correct: bool | None = None
    picture: Tile | None = None
    similar: Sequence[SimilarScan] = ()
    notes: Sequence[str] = ()
    viewed: str = ""


def subject_section(subjects: Sequence[SubjectShown], *, word: str, wrongness: str, note: str = "") -> list[Html]:
    """List all tests: a section for the top level of `elements.write_page`, which has one at most.

    A page grows by about 2 kB for each subject, and by 3 kB for each tile.

    Args:
        subjects: In any order; without any there is no section.
        word: What to call one, see `mri3d.cohort.people.session_word`.
        wrongness: Title of the numbers that order the table, such as "Absolute error".
        note: What heatmaps show, and by what scans are similar.
    """
    if not subjects:
        return []
    ordered = sorted(subjects, key=lambda each: (-_or_last(each.wrongness), natural_order(each.name)))
    sprites = Sprites.of(tile for subject in ordered for tile in _tiles(subject))
    columns = _columns(ordered, sprites, word, wrongness)
    told = [f"{number_text(len(ordered), f'tested {word}')}, the most wrong first.", _PICTURES * bool(sprites.places)]
    code, style = (
        (files("mri3d.report") / f"subject_table.{end}").read_text(encoding="utf-8") for end in ("js", "css")
    )
    return [
        element("h2", f"Tested {word}s"),
        element("p", " ".join(filter(None, [*told, note]))),
        Scripted(_section(ordered, columns, word), Script(code, style + sprites.style())),
    ]


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Attributes:
        title: In its header; before what a cell tells, where a screen is too narrow for columns.
        kind: Class of its cells.
        width: Beside other columns, rem; 0 where it lies below them.
        cells: What stands in it.
        sort: How it can be sorted.
        values: What it is sorted by as numbers; NaN is the last in either direction.
        falling: Whether the table is sorted by it as the page is opened, the largest first.
    """

    title: str
    kind: str
    width: float
    cells: Sequence[Html]
    sort: Literal["text", "number", ""] = ""
    values: Sequence[float] = ()
    falling: bool = False


def _columns(subjects: Sequence[SubjectShown], sprites: Sprites, word: str, wrongness: str) -> list[_Column]:
    """Choose the columns: one that would be empty is left out, and the folds where there is only one."""
    columns = [_Column(word.capitalize(), "name", 7.0, [_name(subject) for subject in subjects], "text")]
    if any(subject.picture for subject in subjects):
        columns.append(_Column("Picture", "picture", 12.0, [_picture(subject, sprites) for subject in subjects]))
    columns.append(_answers("Truth", [subject.truth for subject in subjects]))
    wrong = [_is_wrong(subject) for subject in subjects]
    columns.append(_answers("Prediction", [subject.prediction for subject in subjects], wrong))
    for title in dict.fromkeys(title for subject in subjects for title in subject.values):
        columns.append(_numbers(title, [subject.values.get(title, math.nan) for subject in subjects]))
    columns.append(_numbers(wrongness, [subject.wrongness for subject in subjects], falling=True))
    folds = [subject.fold for subject in subjects]
    if len(set(folds)) > 1:
        columns.append(_Column("Fold", "value", 2.75, [Html(str(fold)) for fold in folds], "number", folds))
    if similar := [scan.similarity for subject in subjects for scan in subject.similar]:
        cells = [_similar(subject.similar, sprites, _decimals(similar)) for subject in subjects]
        columns.append(_Column("Most similar training scans", "similar", 13.5, cells))
    if any(subject.notes for subject in subjects):
        notes = [[tag("p", note, dir="auto") for note in subject.notes] for subject in subjects]
        columns.append(_Column("Notes", "notes", 0.0, [Html("".join(texts)) for texts in notes]))
    return columns


def _name(subject: SubjectShown) -> Html:
    button = [view_button(subject.viewed)] if subject.viewed else []
    return Html("".join([element("bdi", subject.name), *button]))


def _picture(subject: SubjectShown, sprites: Sprites) -> Html:
    if subject.picture is None:
        return element("span", "No picture", css="nothing")
    return sprites.show(subject.picture, f"{'Heatmap' if subject.picture.heatmap else 'Scan'} of {subject.name}")


def _answers(title: str, texts: Sequence[str], wrong: Sequence[bool] = ()) -> _Column:
    """Make a column of classes, or of values, which are sorted as numbers; say which are wrong."""
    numbers = [parse_number(text) for text in texts]
    values = [value for value in numbers if value is not None]
    marks = [element("span", "wrong", css="wrong") if each else Html("") for each in wrong] or [Html("")] * len(texts)
    cells = [Html(element("bdi", text) + " " + mark) for text, mark in zip(texts, marks, strict=True)]
    if len(values) < len(texts):
        return _Column(title, "answer", 4.5, cells, "text")
    return _Column(title, "answer", 4.5, cells, "number", values)


def _numbers(title: str, values: Sequence[float], *, falling: bool = False) -> _Column:
    """Make a column of numbers of one kind."""
    decimals = _decimals(values)
    cells = [element("span", _written(value, decimals)) for value in values]
    return _Column(title, "value", 5.0, cells, "number", values, falling)


def _similar(scans: Sequence[SimilarScan], sprites: Sprites, decimals: int) -> Html:
    """List scans, each with its picture beside its name, its label and how similar it is."""
    listed = []
    for scan in scans:
        picture = [] if scan.picture is None else [sprites.show(scan.picture, f"Scan of {scan.name}")]
        told = element("span", element("bdi", scan.label), f", {_written(scan.similarity, decimals)}")
        listed.append(element("li", *picture, element("span", element("bdi", scan.name), told)))
    return element("ol", *listed) if listed else Html("")


def _section(subjects: Sequence[SubjectShown], columns: Sequence[_Column], word: str) -> Html:
    """Lay out the filters, which stay hidden until the script works, and the table."""
    rows = zip(*([_cell(column, place) for place in range(len(subjects))] for column in columns), strict=True)
    listed = tag(
        "table",
        tag("thead", tag("tr", *map(_header, columns), role="row"), role="rowgroup"),
        tag("tbody", *(tag("tr", *cells, role="row") for cells in rows), role="rowgroup"),
        role="table",
        aria_label=f"Tested {word}s",
    )
    widths = [column.width for column in columns if column.width]
    grid = " ".join(f"minmax(0, {width:g}fr)" for width in widths)
    width = sum(widths) + _GAP * (len(widths) - 1)
    scroll = element("div", listed, css="subjects-scroll")
    css = "subjects subjects-wide" if width > _WIDEST else "subjects"
    return element("div", _filters(subjects, word), scroll, css=css, style=f"--grid: {grid}; --width: {width:g}rem")


def _header(column: _Column) -> Html:
    """Make the header of a column; the script puts a button into it where it can be sorted."""
    attributes = {"scope": "col", "role": "columnheader", "class_": column.kind}
    if column.sort:
        attributes |= {"data_sort": column.sort, "aria_sort": "descending" if column.falling else "none"}
    return tag("th", column.title, **attributes)


def _cell(column: _Column, place: int) -> Html:
    """Make a cell; that of the name is the header of its row."""
    attributes = {"role": "cell", "class_": column.kind}
    if column.kind == "name":
        return tag("th", column.cells[place], **(attributes | {"scope": "row", "role": "rowheader"}))
    if column.kind in ("answer", "value", "similar"):
        attributes["data_title"] = column.title
    if column.values and math.isfinite(value := column.values[place]):
        attributes["data_value"] = repr(float(value))
    return tag("td", column.cells[place], **attributes)


def _filters(subjects: Sequence[SubjectShown], word: str) -> Html:
    """Make what narrows the table down."""
    shows = [("all", f"All {word}s")]
    if any(map(_is_wrong, subjects)):
        shows.append(("wrong", "Wrong predictions"))
    if any(subject.notes for subject in subjects):
        shows.append(("notes", "Those with notes"))
    search = tag("input", type="search", autocomplete="off", data_filter="search")
    fields = [element("label", f"Search {word}, truth or prediction", search)]
    if len(shows) > 1:
        fields.append(_choice("Show", "show", shows))
    if any(subject.correct is not None for subject in subjects):
        classes = sorted({subject.truth for subject in subjects}, key=natural_order)
        fields.append(_choice("Truth", "truth", [("", "All"), *((name, name) for name in classes)]))
    told = tag("output", role="status")
    return tag("div", *fields, told, class_="subjects-bar", role="search", aria_label=f"Tested {word}s", hidden="")


def _choice(label: str, name: str, options: Sequence[tuple[str, str]]) -> Html:
    """Make a list to choose from: values, and texts."""
    listed = [tag("option", text, value=value, dir="auto") for value, text in options]
    return element("label", label, tag("select", *listed, autocomplete="off", data_filter=name))


def _is_wrong(subject: SubjectShown) -> bool:
    return subject.correct is not None and not subject.correct


def _tiles(subject: SubjectShown) -> list[Tile]:
    """Return the tiles of a row from left to right."""
    tiles = [subject.picture, *(scan.picture for scan in subject.similar)]
    return [tile for tile in tiles if tile is not None]


def _or_last(value: float) -> float:
    """Return a number by which those that are not finite come last."""
    return value if math.isfinite(value) else -math.inf


def _decimals(values: Iterable[float]) -> int:
    """Choose decimals by the largest number: a probability next to nothing needs no more than the others."""
    return num_decimals([max((abs(value) for value in values if math.isfinite(value)), default=None)])


def _written(value: float, decimals: int) -> str:
    return number(value if math.isfinite(value) else None, decimals=decimals)
