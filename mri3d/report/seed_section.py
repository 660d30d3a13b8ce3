"""How much the scores of a run depend on the seed of training alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from mri3d.report.elements import Html, element, mean_and_sd, number, score_title, table
from mri3d.texts import number_text


def seed_section(metrics: Mapping[str, Any], compared: Sequence[str]) -> list[Html]:
    """List the scores by the fits of each seed beside those of their mean prediction.

    Args:
        metrics: The content of metrics.json; nothing is shown without `seeds`.
        compared: Names of the scores to show, see `Outcome.compared`.
    """
    seeds = metrics.get("seeds")
    if seeds is None:
        return []
    header = ["Score", *(f"Seed {place}" for place in range(1, seeds["number"] + 1)), "Mean ± SD", "Mean prediction"]
    rows = [
        [
            score_title(name),
            *map(number, seeds[name]["values"]),
            mean_and_sd(seeds[name]["values"]),
            number(metrics["test"][name]["value"]),
        ]
        for name in compared
        if name in seeds
    ]
    times = number_text(seeds["number"], "time")
    told = (
        f"Each fold was fitted {times} with different seeds: SD is the spread that chance in training alone gives. "
        "The run's own scores are those of the mean prediction of all fits, which is what the model folder predicts; "
        "a single fit may do worse."
    )
    return [element("h2", "Seeds"), element("p", told), table(header, rows, css="numbers")]
