"""Read a page back: its elements, texts and images."""

from html.parser import HTMLParser

HOSTILE = '<script>alert("1")</script>'


class Reader(HTMLParser):
    """Collects elements, texts and images, charts among them; complains where tags do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.texts, self.images, self.open = [], [], [], []
        self.ids, self.told = [], []  # told: what marks of charts say

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag == "svg":
            self.images.append({"alt": dict(attributes)["aria-label"]} | dict(attributes))
        if tag not in ("img", "meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Check that it was the last one opened."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note a text of the page, or what a mark of a chart says; what is drawn in charts is left out."""
        if "svg" not in self.open:
            self.texts.append(data)
        elif self.open[-1] == "title":
            self.told.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader
