"""The page of a run: its parts laid out from the results, and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mri3d.evaluation.other_runs import runs_beside
from mri3d.evaluation.results import Results
from mri3d.kept_models import optional
from mri3d.outcome import Score
from mri3d.report.checklist_section import checklist_section
from mri3d.report.elements import Html, score_title
from mri3d.report.methods_section import methods_section
from mri3d.report.options import ReportOptions
from mri3d.report.others_section import OtherShown, others_section
from mri3d.report.page import Parts, write_report
from mri3d.report.picture import Picture
from mri3d.report.run_facts import RunFacts
from mri3d.report.shown_tests import ShownTests
from mri3d.run_folder import as_yaml
from mri3d.tested_scans import TestedScans


def write_run_page(
    folder: Path,
    results: Results,
    metrics: Mapping[str, Any],
    tested: TestedScans,
    *,
    pictures: Sequence[tuple[str, Sequence[Picture]]],
    scans: Sequence[Html],
    repeat: Sequence[Html],
    options: ReportOptions,
    title: str,
    model_name: str,
    configuration: Mapping[str, Any],
) -> None:
    """Write `report.html`.

    Args:
        folder: The run directory.
        results: Predictions and scores.
        metrics: The content of metrics.json.
        tested: What the tested scans look like.
        pictures: Title and pictures of each section of maps of the cohort.
        scans: The section that sums up the page of scans.
        repeat: The section with the command that repeats the run.
        options: How the page is made.
        title: Of the page.
        model_name: What the model is called.
        configuration: Every setting, shown as it stands in `config.yaml`.
    """
    study, better, over_all = results.study, results.better_than_chance, list[Picture]()
    with optional("the evidence over all tested scans"):
        over_all = tested.group(better, folder / "maps")
    edge = study.volumes.shape[1:] if study.recipe is None else (study.recipe.resolution,)
    write_report(
        folder / "report.html",
        title=title,
        facts={
            "cohort": study.describe(),
            "model": model_name,
            "resolution": " x ".join(map(str, edge)),
            "time": f"{metrics['seconds']['total']:.0f} s",
            "run": str(folder),
        },
        outcome=study.outcome,
        metrics=metrics,
        tests=ShownTests(results.targets, results.predicted, results.raw, [study.ids[row] for row in results.rows]),
        cohort=study.cohort_with_outliers.to_rows(),
        taking_part=study.outcome.words.cohort_rows(study.targets),
        histories=[fit.history for fold in results.folds for fit in fold.fits],
        search=results.search_rows(),
        parts=Parts(
            scans=scans,
            others=_others(folder, results),
            subjects=tested.table(results),
            pictures=[("Where the evidence lies", [*tested.pictured(better), *over_all]), *pictures],
            viewer=tested.viewer(better, faces=options.faces),
            paper=[*_methods(results, metrics, configuration), *repeat],
        ),
        configuration=as_yaml(configuration),
    )


def _others(folder: Path, results: Results) -> list[Html]:
    """Hold the run against others that were tested on the same."""
    primary, shown = results.study.outcome.compared[0], list[OtherShown]()
    if not results.scores:
        return []
    with optional("a comparison with other runs"):
        for other in runs_beside(folder):
            found = other.pair.comparison.differences.get(primary)
            difference = Score(None) if found is None else Score(found.difference, found.low, found.high)
            name = "/".join(other.folder.parts[-2:])
            p = None if found is None else found.p
            shown.append(OtherShown(name, other.scores.get(primary, Score(None)), difference, p))
    return others_section(shown, title=score_title(primary))


def _methods(results: Results, metrics: Mapping[str, Any], configuration: Mapping[str, Any]) -> list[Html]:
    """Write what was done, for a paper."""
    study = results.study
    known = RunFacts(
        configuration,
        metrics,
        study.outcome,
        study.outcome.words.cohort_rows(study.targets),
        tuple(study.volumes.shape[1:]),
        None if study.recipe is None else study.recipe.arguments(),
    )
    return [*methods_section(known), *checklist_section(known)]
