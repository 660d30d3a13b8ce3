"""Sentences on who took part, and on what was done to the scans before a model saw them."""

from collections.abc import Mapping
from typing import Any

from mri3d.report.references import DEEPBET, FONOV, Sentence
from mri3d.report.run_facts import RunFacts, and_text, by_text
from mri3d.texts import number_text

_AXES = {
    "ras": "Axes were brought to right, anterior, superior (RAS+) by the affine of each scan, without resampling.",
    "stored": "Axes were kept in the order in which the files store them.",
}
_INTENSITIES = {
    "zscore": (
        "Intensities beyond those of nearly all voxels were clipped, and the others standardised: the mean of the "
        "tissue was subtracted, and what was left divided by its standard deviation."
    ),
    "minmax": (
        "Intensities beyond those of nearly all voxels were clipped, and the others scaled to a range from 0 to 1."
    ),
    "none": "Intensities were kept as they were.",
}
_AIR = "All that was as dark as the noise of air was given one value."
_BOX_MM = 192  # longest side of what a volume of the recipe for brains shows


def data_sentences(facts: RunFacts) -> list[Sentence]:
    """Say how many took part, and what was predicted."""
    found = []
    if facts.kind("data") == "Demo":
        found.append(Sentence.of("The scans were heads that mri3d generated, not scans of people."))
    counts = facts.metrics.get("num_subjects") or {}
    if counts:
        found.append(Sentence.of(_who(counts)))
    named = ", ".join(f"{name}: {text}" for name, text in facts.taking_part)
    found.append(Sentence.of(f"The outcome was {facts.outcome.name}{named and f' ({named})'}."))
    known = (facts.metrics.get("confounds") or {}).get("associations") or ()
    if known:
        values = "; ".join(f"{each['name']}: {each['values']}" for each in known)
        found.append(Sentence.of(f"Known of the sessions were, beside it, {values}."))
    if covariates := facts.columns("model", "covariates"):
        columns = "the column" if len(covariates) == 1 else "the columns"
        found.append(Sentence.of(f"Besides the image the model was given {columns} {and_text(covariates)}."))
    return found


def preprocessing_sentences(facts: RunFacts) -> list[Sentence]:
    """Say what was done to the scans."""
    if facts.recipe is None:
        shape = f" ({by_text(facts.shape)} voxels)" if facts.shape else ""
        found = [Sentence.of(f"Volumes{shape} were taken as they were given, without preprocessing.")]
    elif facts.recipe.get("kind") == "brain":
        found = _of_brains(facts, facts.recipe)
    else:
        found = _of_scans(facts, facts.recipe)
    return [*found, *_smoothing(facts)]


def _who(counts: Mapping[str, int]) -> str:
    """Count sessions and participants, and those who took no part."""
    told = number_text(counts["sessions"], "session")
    if counts["participants"] < counts["sessions"]:
        told += f" of {number_text(counts['participants'], 'participant')}"
    told += " took part"
    others = [
        f"{number} {what}"
        for number, what in (
            (counts.get("unlabelled", 0), "without a label"),
            (counts.get("left_out", 0), "whose scan could not be used"),
        )
        if number
    ]
    return f"{told}; of {counts['total']} in all, {and_text(others)} took no part." if others else f"{told}."


def _of_scans(facts: RunFacts, recipe: Mapping[str, Any]) -> list[Sentence]:
    """Describe `mri3d.volumes.recipe.Recipe`."""
    crop = recipe["crop"]
    if crop == "head":
        cropped = "Each scan was cropped to the bounding box of the head."
    elif crop == "none":
        cropped = "Scans were not cropped."
    else:
        box = ", ".join(f"{first} to {end - 1}" for first, end in crop)
        cropped = f"Each scan was cropped to the same voxels, counted from 0 along its axes: {box}."
    return [
        Sentence.of(_AXES[recipe["orientation"]]),
        Sentence.of(cropped),
        *map(Sentence.of, _resizing(facts, recipe)),
        *(
            [Sentence.of(_AIR)]
            if crop == "head" and recipe.get("version", 1) > 1 and recipe["intensity"] != "none"
            else []
        ),
        Sentence.of(_INTENSITIES[recipe["intensity"]]),
    ]


def _resizing(facts: RunFacts, recipe: Mapping[str, Any]) -> list[str]:
    """Describe how a crop became a volume."""
    edge = recipe["resolution"]
    if edge == "native":
        sides = f" of {by_text(facts.shape)} voxels" if facts.shape else ""
        return [f"Voxels were not resized; crops were centred in volumes{sides}, and padded where they were smaller."]
    kept = (
        "with the proportions of the scan kept by padding"
        if recipe["resize"] == "pad"
        else "each axis stretched by itself"
    )
    return [
        f"What was left was resampled to {by_text([edge] * 3)} voxels by linear interpolation, {kept}.",
        "An axis along which voxels became longer by a factor f was smoothed by a Gaussian with a standard deviation "
        "of (f - 1) / 2 of the scan's voxels beforehand, against aliasing.",
    ]


def _of_brains(facts: RunFacts, recipe: Mapping[str, Any]) -> list[Sentence]:
    """Describe `mri3d.volumes.brain_recipe.BrainRecipe`."""
    if facts.group("data").get("mask"):
        found = [
            Sentence.of(
                "Masks of the brain came with the scans; each was held against the brain that the networks of deepbet "
                "find in its scan.",
                DEEPBET,
            )
        ]
    else:
        found = [
            Sentence.of(
                "The brain was extracted from each scan by the networks of deepbet; scans without a skull were taken "
                "as they were.",
                DEEPBET,
            )
        ]
    edge = recipe["resolution"]
    spacing = "1" if edge == "native" else f"{_BOX_MM / edge:.3g}"
    sides = f"{by_text(facts.shape)} " if facts.shape else ""
    found += [
        Sentence.of(
            "It was aligned by an affine transformation (12 parameters) with the symmetric MNI ICBM152 2009 template.",
            FONOV,
        ),
        Sentence.of(
            "Intensities within the brain were divided by the mean of their surroundings (a Gaussian with a standard "
            "deviation of 15 mm), and each was replaced by the quantile of a normal distribution that has its rank."
        ),
    ]
    if size := recipe["size"]:
        found.append(
            Sentence.of(
                f"So that the size of the brain was not lost, {size:g} was added to every voxel of a brain for each "
                "standard deviation by which it was larger than those of adults."
            )
        )
    return [
        *found,
        Sentence.of(
            f"The result was smoothed by a Gaussian against aliasing, and resampled to {sides}voxels of {spacing} mm "
            "in the space of the template by linear interpolation, with 0 around the brain."
        ),
    ]


def _smoothing(facts: RunFacts) -> list[Sentence]:
    """Say how a classical model smoothed volumes; None stands for what the outcome asks for where there is a recipe."""
    model = facts.group("model")
    if facts.is_network or "smoothing" not in model:
        return []
    share = model["smoothing"]
    if share is None:
        share = facts.outcome.smoothing if facts.recipe is not None else 0.0
    if not share:
        return []
    return [
        Sentence.of(
            f"Volumes were smoothed by a Gaussian with a standard deviation of {100 * share:g} % of their longest edge."
        )
    ]
