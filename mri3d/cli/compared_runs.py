"""Finished runs that were tested on the same, compared: what a page and a table have of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mri3d.evaluation.comparison import Pair, compare_pairs
from mri3d.evaluation.recorded_tests import RecordedTests

if TYPE_CHECKING:
    from mri3d.report.comparison_words import ComparedModels, ComparedPair


def compare_runs(runs: Mapping[str, RecordedTests]) -> "ComparedModels":
    """Compare every two runs.

    Args:
        runs: Name of each, as users are told it, to what it says of its tests.

    Raises:
        UserError: There are fewer than two, or two of them were not tested on the same.
    """
    from mri3d.report.comparison_words import ComparedModels

    pairs = compare_pairs({name: run.judged for name, run in runs.items()})
    first = next(iter(runs.values())).judged
    return ComparedModels(
        first.outcome,
        {name: run.scores for name, run in runs.items()},
        [_compared(pair) for pair in pairs],
        folders={name: run.folder for name, run in runs.items()},
        num_tests=len(first.subjects),
        num_folds=len(first.fold_scores),
        measured=any(run.judged.sampling.chosen_widening is not None for run in runs.values()),
    )


def comparison_rows(compared: "ComparedModels") -> list[dict[str, object]]:
    """Return the rows of comparison.csv: one for each pair and score."""
    rows = []
    for pair in compared.pairs:
        for name, scores in pair.scores.items():
            row: dict[str, object] = {"first": pair.first, "second": pair.second, "score": name}
            row |= {"value_first": scores["first"], "value_second": scores["second"]}
            row |= {column: value for column, value in scores.items() if column not in ("first", "second")}
            row["p_holm"] = pair.p_holm if name == compared.primary else None
            row |= {"run_first": str(compared.folders[pair.first]), "run_second": str(compared.folders[pair.second])}
            rows.append(row)
    return rows


def _compared(pair: Pair) -> "ComparedPair":
    """Take what is shown of a pair; None stands for what is not defined."""
    from mri3d.report.comparison_words import ComparedPair

    table, comparison = pair.table().astype(object), pair.comparison
    scores = table.where(table.notna(), None).to_dict("index")
    decisive = comparison.differences.get(comparison.primary)
    test = decisive.test if decisive else ""
    named = {str(name): {str(column): value for column, value in row.items()} for name, row in scores.items()}
    return ComparedPair(pair.first, pair.second, named, comparison.p, pair.p_holm, test)
