"""The viewer's part of a page: what may run there, whose faces are seen, and that every text is only a text."""

import base64
import gzip
import hashlib
import re
from html.parser import HTMLParser

import pytest

from mri3d.errors import UserError
from mri3d.report import niivue, viewer
from mri3d.report.elements import element, write_page
from mri3d.report.niivue import niivue_code
from mri3d.report.viewer import view_button, viewer_section
from tests.report.reader import HOSTILE
from tests.report.viewed import data_of, decoded, scan, write

SCRIPTS = re.compile(r"<script>(.*?)</script>", re.DOTALL)
AWKWARD = f"{HOSTILE} ' \" & <!-- ]]> \u2028 \u202eمرحبا"


class Elements(HTMLParser):
    """Collects elements with their attributes, and texts."""

    def __init__(self, text) -> None:
        super().__init__()
        self.found, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        """Note a text."""
        self.texts.append(data)

    def attributes(self, tag):
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


def policy(page):
    (content,) = (each["content"] for each in Elements(page).attributes("meta") if "http-equiv" in each)
    return dict(part.strip().partition(" ")[::2] for part in content.split(";"))


def digest(code):
    return "'sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() + "'"


def views(page):
    return [each["value"] for each in Elements(page).attributes("option") if not each["value"].isdigit()]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page") / "page.html", [scan(), scan("LIA", name="s2", heatmap=False)])


def test_only_the_two_scripts_may_run_and_nothing_is_fetched(page):
    (ours,) = SCRIPTS.findall(page)
    packed = re.search(r'<script type="text/plain" id="niivue">(.*?)</script>', page)[1]
    unpacked = gzip.decompress(base64.b64decode(packed)).decode()
    assert policy(page) == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"{digest(ours)} {digest(unpacked)}",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not re.search(r"https?:|url\(|@import|\son[a-z]+=", page)
    for forbidden in ("eval", "Function(", "fetch", "XMLHttpRequest", "innerHTML", "insertAdjacentHTML", "import("):
        assert forbidden not in ours
    assert len(packed) < 460_000


def test_a_page_without_a_viewer_runs_nothing(tmp_path):
    write_page(tmp_path / "page.html", title="t", sections=[element("p", "text"), view_button("s1")])
    text = (tmp_path / "page.html").read_text()
    assert policy(text) == {"default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'"}
    assert "<script" not in text
    assert "</style>\n</head>" in text
    assert text.endswith("</footer>\n</main>\n</body>\n</html>\n")
    assert viewer_section([], shows="brains") == []


def test_two_viewers_share_their_scripts(tmp_path):
    text = write(tmp_path / "page.html", [scan()], num_sections=2)
    assert text.count('class="viewer"') == 2
    assert text.count('id="niivue"') == len(SCRIPTS.findall(text)) == text.count(".viewer-legend {") == 1


def test_scans_travel_with_what_is_told_of_them(page):
    data = data_of(page)
    assert len(data["colours"]) == 6 * 255
    first, second = data["scans"]
    assert decoded(first["head"]).shape == decoded(first["heatmap"]).shape
    assert second["heatmap"] is None
    assert (first["signed"], first["strongest"]) == (True, pytest.approx(0.04))
    assert [each["value"] for each in Elements(page).attributes("option")][:2] == ["0", "1"]


def test_every_text_is_only_a_text(tmp_path):
    hostile = scan(name=AWKWARD, caption=AWKWARD, high=AWKWARD, low="</script><b>low</b>")
    text = write(tmp_path / "page.html", [hostile, scan()])
    found = Elements(text)
    assert len(found.attributes("script")) == 3
    assert HOSTILE not in text
    assert AWKWARD in found.texts  # the name in the list
    first, second = data_of(text)["scans"]
    assert (first["high"], first["low"], first["caption"]) == (AWKWARD, "</script><b>low</b>", AWKWARD)
    assert (second["high"], second["low"], second["caption"]) == ("for", "against", "")
    (button,) = Elements(view_button(AWKWARD)).attributes("button")
    assert button["data-view"] == AWKWARD
    assert "hidden" in button


def test_faces_are_shown_only_where_that_is_asked_for(tmp_path, page):
    assert views(page) == ["all", "render", "axial", "coronal", "sagittal", "left", "right", "front", "back", "top"]
    assert "report.faces=true" not in page
    hidden = write(tmp_path / "page.html", [scan()], shows="heads")
    assert views(hidden) == ["all", "axial", "coronal", "sagittal"]
    assert data_of(hidden)["renders"] is False
    assert "a rendering of a whole head shows a face; report.faces=true allows it." in hidden
    shown = write(tmp_path / "page.html", [scan()], shows="heads", faces=True)
    assert views(shown) == views(page)
    assert data_of(shown)["renders"] is True
    assert "Renderings of whole heads show faces" in shown


def test_controls_have_names_and_the_licence_stands_on_the_page(page):
    found = Elements(page)
    controls = [each for tag in ("select", "input") for each in found.attributes(tag)]
    assert len(controls) == page.count("<label>") == 7
    assert "Shown by NiiVue 0.68.1 (licence BSD-2-Clause)" in found.texts
    assert any(
        "Copyright (c) 2021, Niivue" in text and "PROVIDED BY THE COPYRIGHT HOLDERS" in text for text in found.texts
    )


def test_another_niivue_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "niivue.umd.js"
    other.write_text("alert(1)")
    with pytest.raises(UserError, match=r"is another file \(nilearn .* pip install nilearn==0\.14\.1"):
        niivue_code(other)
    with pytest.raises(UserError, match="is missing"):
        niivue_code(tmp_path / "none.js")
    monkeypatch.setattr(niivue.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="nilearn is missing"):
        niivue_code()


def test_a_page_does_without_a_viewer_where_niivue_is_another(monkeypatch):
    def refuse():
        raise UserError("nilearn is missing.")

    monkeypatch.setattr(viewer, "_script", refuse)
    title, told = viewer_section([scan()], shows="brains")
    assert Elements(title + told).texts == ["Scans in 3D", "There is no viewer in this page: nilearn is missing."]


def test_only_the_webassembly_of_niivue_is_left_out():
    whole = niivue._installed().read_text(encoding="utf-8")
    code = niivue_code()
    left_out = re.sub(r'"AGFzbQ[^"]*"', '""', whole)
    assert code == left_out
    assert whole.count('"AGFzbQ') == 3
    assert len(code) < 0.45 * len(whole)
