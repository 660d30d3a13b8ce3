"""Read a page back: its elements, texts and images."""

from html.parser import HTMLParser

HOSTILE = '<script>alert("1")</script>'


class Reader(HTMLParser):
    """Collects elements, texts and images; complains where tags do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.texts, self.images, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Check that it was the last one opened."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note a text."""
        self.texts.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader
