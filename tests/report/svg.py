"""What stands in a chart: texts, marks of curves, points of scatters; parsing proves that the SVG is well-formed."""

import xml.etree.ElementTree as ElementTree

import numpy as np


def texts(picture):
    """All texts."""
    return [
        "".join(node.itertext()) for node in ElementTree.fromstring(picture.data).iter() if node.tag.endswith("}text")
    ]


def marks(picture):
    """Where the curves' marks stand, for each curve in order [marks, 2]; y runs down."""
    places = [
        [(float(mark.get("x")), float(mark.get("y"))) for mark in group if mark.tag.endswith("}use")]
        for node in ElementTree.fromstring(picture.data).iter()
        if node.get("id", "").startswith("line2d")
        for group in node
        if group.tag.endswith("}g")
    ]
    return [np.array(line) for line in places if len(line) > 1]


def points(picture):
    """Where the points of each scatter stand, in the order drawn [points, 2]; y runs down."""
    groups = [
        [(float(mark.get("x")), float(mark.get("y"))) for mark in node.iter() if mark.tag.endswith("}use")]
        for node in ElementTree.fromstring(picture.data).iter()
        if node.get("id", "").startswith(("PathCollection", "Path3DCollection"))
    ]
    return [np.array(group) for group in groups if group]


def told(picture):
    """What marks say, and where these stand: both ends [2, 2], y runs down; a shape has the end nearer to 0 first."""
    ends = {"circle": ("cx", "cy", "cx", "cy"), "line": ("x1", "y1", "x2", "y2"), "rect": ("x", "y", "width", "height")}
    found = []
    for node in ElementTree.fromstring(picture.data).iter():
        shape = node.tag.rpartition("}")[2]
        if shape in ends and len(node) and node[0].tag.endswith("}title"):
            place = np.array([float(node.get(name)) for name in ends[shape]]).reshape(2, 2)
            found.append((node[0].text, place + (place[0] * [[0], [1]] if shape == "rect" else 0)))
    return found


def lines(picture):
    """Both ends of each straight line of a curve, dashed ones first [lines, 2, 2]; y runs down."""
    paths = [node for node in ElementTree.fromstring(picture.data).iter() if node.tag.endswith("}path")]
    paths = [path for path in paths if path.get("clip-path") and path.get("d").count("L") == 1]
    paths.sort(key=lambda path: "stroke-dasharray" not in path.get("style"))
    return [np.array(path.get("d").replace("M", "").replace("L", "").split(), float).reshape(2, 2) for path in paths]
