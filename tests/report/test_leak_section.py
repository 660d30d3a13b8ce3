"""Near-copies in the report of a run."""

import pytest

from mri3d.report.leak_section import leak_section

PAIR = {"first": "<a>", "second": "b", "similarity": 0.987, "certain": True, "folds": [0, 2]}


@pytest.mark.parametrize(
    ("pairs", "told", "untold"),
    [
        (
            [],
            ["No near-copies were found among the 12 sessions", "no participant or group is parted"],
            ["Near-copies:"],
        ),
        ([PAIR], ["Tested on near-copies: a pair of sessions that shows", "&lt;a&gt;", "0.99", "0, 2"], ["<a>"]),
        ([PAIR, PAIR | {"folds": [1]}], ["Tested on near-copies: 2 pairs of sessions that show"], ["No near-copies"]),
        ([PAIR | {"folds": []}], ["show, or may show, the same head", "none lie on two sides"], ["too good", "look"]),
        ([PAIR | {"certain": False}], ["may show the same head lie on two sides of the split; look"], ["too good"]),
        ([PAIR] * 53, ["Near-copies: 53", "3 more are in metrics.json."], []),
    ],
)
def test_what_was_found_is_said(pairs, told, untold):
    text = "".join(leak_section({"sessions": 12, "near_copies": pairs, "across": 0, "allowed": True}))
    assert all(each in text for each in told)
    assert not any(each in text for each in untold)


def test_runs_of_earlier_versions_have_no_such_section():
    assert leak_section(None) == []
