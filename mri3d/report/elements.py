"""Small pieces of HTML in which every text is escaped, and the page that they make."""

import base64
import hashlib
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np

from mri3d.files import write_text
from mri3d.outcome.score import SCORE_TITLES, Score, ends_text, interval_text
from mri3d.report.charts import inline_chart
from mri3d.report.picture import Picture

_NOTHING = 1e-12  # what is smaller is rounding
_MAX_DECIMALS = 8  # beyond, a power of ten is shorter
_PICTURE_BYTES = 2_000_000  # of all pictures of a page together; text in base64 is a third longer
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing runs, nothing is fetched


class Html(str):
    """Text that is HTML already; every other text is escaped when it becomes part of an element."""

    __slots__ = ()


@dataclass(frozen=True)
class Script:
    """What makes sections of a page work. A page has it once, and allows nothing but this code to run.

    Attributes:
        code: JavaScript, run when the page has been read.
        style: CSS.
        data: HTML that does not run and that the code reads.
        started: Digest of each script that the code starts itself, see `script_digest`.
    """

    code: str
    style: str = ""
    data: str = ""
    started: tuple[str, ...] = ()


class Scripted(Html):
    """HTML that needs a script; it stands at the top level of a page, in no other element."""

    __slots__ = ("script",)
    script: Script

    def __new__(cls, text: Html, script: Script) -> "Scripted":
        """Join a text with what it needs."""
        scripted = super().__new__(cls, text)
        scripted.script = script
        return scripted


def element(name: str, *children: str, css: str = "", style: str = "") -> Html:
    """Put children into an element.

    >>> element("p", "a < b", element("b", "!"), css="note")
    '<p class="note">a &lt; b<b>!</b></p>'
    """
    attributes = (f' class="{html.escape(css)}"' if css else "") + (f' style="{html.escape(style)}"' if style else "")
    inside = "".join(child if isinstance(child, Html) else html.escape(child) for child in children)
    return Html(f"<{name}{attributes}>{inside}</{name}>")


def tag(name: str, *children: str, **attributes: str) -> Html:
    """Put children into an element with attributes: `data_view` is written as data-view, `class_` as class.

    >>> tag("i", "a < b", data_view='"', class_="note")
    '<i data-view="&quot;" class="note">a &lt; b</i>'
    """
    written = "".join(
        f' {key.strip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items()
    )
    if name == "input":
        return Html(f"<input{written}>")
    inside = "".join(child if isinstance(child, Html) else html.escape(child) for child in children)
    return Html(f"<{name}{written}>{inside}</{name}>")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, css: str = "") -> Html:
    """Make a table that scrolls sideways when it is too wide; the first cell of each row is its header.

    Args:
        header: Of the columns; empty for a table whose rows speak for themselves.
        rows: Their cells.
        css: Class of the table.
    """
    head = element("thead", element("tr", *(element("th", cell) for cell in header))) if header else Html("")
    body = [element("tr", element("th", row[0]), *(element("td", cell) for cell in row[1:])) for row in rows]
    return scrolled(element("table", head, element("tbody", *body), css=css))


def scrolled(wide: Html) -> Html:
    """Let what is too wide for a screen scroll sideways, by the keyboard too."""
    return tag("div", wide, class_="scroll", tabindex="0")


def image(picture: Picture) -> Html:
    """Embed a picture, so that the page needs no other file."""
    if picture.media_type == "image/svg+xml":
        return Html(inline_chart(picture))
    data = base64.b64encode(picture.data).decode()
    alt = html.escape(picture.alt)
    return Html(f'<img class="photo" alt="{alt}" src="data:{picture.media_type};base64,{data}">')


def figure(picture: Picture) -> Html:
    """Embed a picture with its caption, if it has one."""
    told = [element("figcaption", picture.caption)] if picture.caption else []
    return element("figure", image(picture), *told)


def link(text: str, target: str) -> Html:
    """Link to another file, by its path relative to the page's folder."""
    return Html(f'<a style="color: var(--accent)" href="{html.escape(quote(target))}">{html.escape(text)}</a>')


def details(summary: str, *children: str) -> Html:
    """Fold children away under a line to click on."""
    return element("details", element("summary", summary), *children)


def number(value: float | None, *, decimals: int | None = None) -> str:
    """Write a score or a value, a dash where it is not defined; see `num_decimals`.

    >>> [number(value) for value in (0.9, -12.3456, 512.34, 1234567.8, 0.00012, 7e-10, None, math.nan)]
    ['0.900', '-12.346', '512.3', '1234568', '0.000120', '7e-10', '–', '–']
    """
    if value is None or math.isnan(value):
        return "–"
    decimals = num_decimals([value]) if decimals is None else decimals
    text = f"{value:.{decimals}f}" if decimals <= _MAX_DECIMALS else f"{value:.3g}"
    return text if float(text) else text.removeprefix("-")  # nothing is not less than nothing


def with_interval(score: Score) -> str:
    """Write a score with its interval, a dash where it is not defined.

    >>> with_interval(Score(0.9617, 0.9214, 0.9897)), with_interval(Score(0.5)), with_interval(Score(None))
    ('0.962 (0.92 to 0.99)', '0.500', '–')
    """
    return number(score.value) + ("" if score.value is None else interval_text(score))


def in_full(estimate: Mapping[str, float | None], *, decimals: int | None = None) -> str:
    """Write `value`, `low` and `high` of an estimate with as many decimals each, a dash where it is not defined.

    The largest of them decides how many: a value next to nothing is not known to more digits than its interval.

    >>> in_full({"value": 0.00087, "low": -0.5, "high": None}), in_full({"value": 0.5, "low": None, "high": None})
    ('0.001 (-0.500 and more)', '0.500')
    """
    if decimals is None:
        known = [abs(each) for each in (estimate["value"], estimate["low"], estimate["high"]) if each is not None]
        decimals = num_decimals([max(known, default=None)])
    ends = ends_text(estimate["low"], estimate["high"], lambda end: number(end, decimals=decimals))
    return number(estimate["value"], decimals=decimals) + (f" ({ends})" if ends else "")


def difference_in_full(found: Mapping[str, Any]) -> str:
    """Write the difference of two scores, as metrics.json has it, with its interval."""
    return in_full({"value": found["difference"], "low": found["low"], "high": found["high"]})


def num_decimals(values: Iterable[float | None]) -> int:
    """Choose how many decimals numbers of one kind have: three, fewer of large ones, and three digits of small ones.

    The median decides, so that one fold of an unusual score does not cost the others their digits.

    >>> [num_decimals(values) for values in ([0.9, 0.1], [512.0, None], [1234567.8], [0.00012, 0.00009], [0.0], [])]
    [3, 1, 0, 6, 3, 3]
    """
    sizes = [abs(value) for value in values if value is not None]
    size = float(np.median(sizes)) if sizes else 0.0
    if size >= 100:
        return 1 if size < 1000 else 0
    return 3 if size >= 0.01 or size < _NOTHING else 2 - math.floor(math.log10(size))


def score_title(name: str) -> str:
    """Return the title of a score in metrics.json, as an axis or a row begins.

    >>> score_title("balanced_accuracy"), score_title("auc")
    ('Balanced accuracy', 'AUC')
    """
    title = SCORE_TITLES.get(name, name)
    return title[:1].upper() + title[1:]


def mean_and_sd(values: Iterable[float | None]) -> str:
    """Write the mean and the standard deviation of the defined values, a dash where there are fewer than two.

    >>> mean_and_sd([0.8, None, 1.0]), mean_and_sd([0.00012, 0.00013])
    ('0.900 ± 0.141', '0.000125 ± 0.000007')
    """
    defined = [value for value in values if value is not None]
    if len(defined) < 2:
        return "–"
    decimals = num_decimals(defined)
    return " ± ".join(number(float(value), decimals=decimals) for value in (np.mean(defined), np.std(defined, ddof=1)))


def memory_text(mebibytes: float | None) -> str:
    """Write an amount of memory, a dash where it is not known.

    >>> memory_text(693.8), memory_text(1433.6), memory_text(None)
    ('694 MiB', '1.4 GiB', '–')
    """
    if mebibytes is None:
        return "–"
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def num_within_budget(pictures: Sequence[Picture | None]) -> int:
    """Count how many of the first entries fit into one page of moderate size."""
    total = 0
    for number, picture in enumerate(pictures):
        total += len(picture.data) if picture else 0
        if total > _PICTURE_BYTES:
            return number
    return len(pictures)


def picture_sections(sections: Sequence[tuple[str, Sequence[Picture]]]) -> list[Html]:
    """Show the first pictures of titled sections, and count those that would have been too many for one page."""
    body: list[Html] = []
    room = num_within_budget([picture for _, pictures in sections for picture in pictures])
    for title, pictures in sections:
        shown, room = pictures[:room], room - len(pictures[:room])
        if pictures:
            body += [element("h2", title), element("div", *(figure(picture) for picture in shown))]
        if len(shown) < len(pictures):
            left_out = len(pictures) - len(shown)
            pictures_are = "picture is" if left_out == 1 else "pictures are"
            body.append(element("p", f"{left_out} {pictures_are} left out, to keep this page small."))
    return body


def heading(title: str, facts: Mapping[str, str]) -> Html:
    """Make the top of a page: its title, and below it what to know first, name to text."""
    parts = [element("div", element("b", name), f" {text}") for name, text in facts.items()]
    return element("header", element("h1", title), element("div", *parts, css="facts"))


def headline(number: str, sentence: str) -> Html:
    """Show the result: its number in large type, then the sentence that explains it."""
    return element("div", element("div", number, css="number"), element("p", sentence), css="result")


def script_digest(code: str) -> str:
    """Return what a page's policy knows a script by.

    >>> script_digest("alert(1)")
    'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='
    """
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


def write_page(path: Path, *, title: str, sections: Sequence[Html]) -> None:
    """Write a page that is one file and asks nothing of the network.

    Args:
        path: The file.
        title: Plain text.
        sections: From top to bottom; nothing runs on a page without a `Scripted` one.
    """
    scripts = list(dict.fromkeys(section.script for section in sections if isinstance(section, Scripted)))
    allowed = [f"'{digest}'" for script in scripts for digest in (script_digest(script.code), *script.started)]
    template = Template((files("mri3d.report") / "page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        policy=f"{_POLICY}; script-src {' '.join(allowed)}; base-uri 'none'; form-action 'none'"
        if scripts
        else _POLICY,
        title=html.escape(title),
        styles="".join(f"\n<style>\n{script.style}</style>" for script in scripts),
        body="\n".join(sections),
        scripts="".join(f"\n{script.data}\n<script>{script.code}</script>" for script in scripts),
    )
    write_text(path, page)
