"""Charts of whether maps can be trusted: what they call evidence taken out and put in, and shuffled weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, class_look, tell
from mri3d.report.picture import Picture

_SIDES = {"deletion": "Taken out of the scan", "insertion": "Put into the average scan"}
_ORDERS = {"map": "In the order of the map", "shuffled": "Of the map of shuffled weights", "random": "In random order"}
_LOOKS = {"map": (COLOURS[0], "solid"), "shuffled": (COLOURS[1], "dashed"), "random": (GRAY, "dotted")}


def following_chart(title: str, curves: Mapping[str, Any]) -> Picture:
    """Draw how the explained number changes as parts are taken out, and put in, in several orders.

    Args:
        title: Of the way to explain.
        curves: `shares`, and for `deletion` and `insertion` the `mean` of each order, with `low` and `high` but for
            random ones, as in trust.json.
    """
    shares = [100 * share for share in curves["shares"]]
    with chart(9.4, 3.6) as figure:
        for place, (side, done) in enumerate(_SIDES.items(), start=1):
            axes = figure.add_subplot(1, 2, place)
            for order, (colour, dash) in _LOOKS.items():
                if (found := curves[side].get(order)) is None:
                    continue
                if "low" in found:
                    axes.fill_between(shares, found["low"], found["high"], color=colour, alpha=0.18, linewidth=0)
                axes.plot(shares, found["mean"], color=colour, linestyle=dash, linewidth=1.8, label=_ORDERS[order])
                named = f"{_ORDERS[order]}\n{done}: "
                texts = [
                    f"{named}{share:.0f} %\nExplained number: {mean:.3g}"
                    for share, mean in zip(shares, found["mean"], strict=True)
                ]
                tell(axes, shares, found["mean"], texts)
            axes.set(xlim=(0, 100), xlabel=f"{done} (% of its parts)", ylabel="Explained number")
            if place == 1:
                figure.legend(loc="outside upper left", ncols=3)
        caption = (
            "What the map calls evidence is replaced by that of the average training scan (left: the lower, the "
            "better), and put into the average scan (right: the higher, the better). The explained number, such as the "
            "log odds of the predicted class, as the mean over scans; bands are 95 % intervals of the mean difference "
            "from random order."
        )
        return chart_picture(figure, f"{title}: deletion and insertion curves.", caption)


def cascade_chart(similarities: Mapping[str, Sequence[float]], *, limit: float) -> Picture:
    """Draw how like the maps stay to those of the network as its weights are shuffled, a line for each way.

    Args:
        similarities: Title of each way to the correlation after each step, of equal shares of the layers from the
            outputs on.
        limit: From which correlation on maps are not trusted.
    """
    with chart(height=3.6 + 0.2 * (len(similarities) // 2)) as figure:
        axes = figure.add_subplot()
        axes.axhline(limit, color=GRAY, linestyle=":", linewidth=1.2)
        for number, (title, values) in enumerate(similarities.items()):
            shares = np.linspace(0, 100, len(values) + 1)
            axes.plot(shares, [1, *values], **class_look(number), marker="o", clip_on=False, label=title)
            told = [
                f"{title}\nLayers: {share:.0f} %\nCorrelation: {value:.2f}"
                for share, value in zip(shares[1:], values, strict=True)
            ]
            tell(axes, shares[1:], values, told)
        axes.set(xlim=(0, 100), xlabel="Layers with shuffled weights (%)", ylabel="Correlation with the map")
        figure.legend(loc="outside upper left", ncols=2)
        caption = (
            "Weights are shuffled layer by layer, from the outputs on: a map that shows what the network learnt must "
            f"change. Those that end above the dotted line ({limit:g}) show the scan more than the network."
        )
        return chart_picture(figure, "Correlation of maps with those of shuffled weights.", caption)
