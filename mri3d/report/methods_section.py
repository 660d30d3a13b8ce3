"""The methods of a run as text to paste into a paper, with versions and references."""

import platform
from collections.abc import Mapping
from importlib import metadata

from mri3d.report.elements import Html, details, element
from mri3d.report.methods_data import data_sentences, preprocessing_sentences
from mri3d.report.methods_evaluation import scoring_sentences, splitting_sentences
from mri3d.report.methods_model import LINEAR, model_sentences
from mri3d.report.references import (
    EXPECTED_GRADIENTS,
    INTEGRATED_GRADIENTS,
    RISE,
    SANITY,
    SOFTWARE,
    Reference,
    Sentence,
    numbered,
)
from mri3d.report.run_facts import RunFacts, and_text
from mri3d.version import __version__

_NAMES = {
    "torch": "PyTorch",
    "pytorch-lightning": "PyTorch Lightning",
    "monai": "MONAI",
    "captum": "Captum",
    "nibabel": "NiBabel",
    "nilearn": "Nilearn",
    "numpy": "NumPy",
    "scipy": "SciPy",
}
_READ_ON = (
    "What this run did, from its settings and results. What only you know (who was recruited, how scans were acquired, "
    "ethics, why this model) is not here. Check it before you publish it."
)


def methods_section(facts: RunFacts) -> list[Html]:
    """Write what a run did as paragraphs with numbered references.

    Args:
        facts: Settings and results of the run.
    """
    paragraphs, references = numbered(each for each in methods_paragraphs(facts).values() if each)
    listed = [element("p", f"{number}. {reference}") for number, reference in enumerate(references, 1)]
    text = [element("p", paragraph) for paragraph in paragraphs]
    return [
        element("h2", "Methods, to paste into a paper"),
        element("p", _READ_ON),
        details("Text with references", *text, element("p", "References"), *listed),
    ]


def methods_paragraphs(facts: RunFacts) -> dict[str, list[Sentence]]:
    """Return the sentences on each part of a run, by its name; those of a part that there was not are none."""
    return {
        "data": data_sentences(facts),
        "preprocessing": preprocessing_sentences(facts),
        "model": model_sentences(facts),
        "splitting": splitting_sentences(facts),
        "scoring": scoring_sentences(facts),
        "explanation": explanation_sentences(facts),
        "software": software_sentences(facts),
    }


def explanation_sentences(facts: RunFacts) -> list[Sentence]:
    """Say how the evidence of a model was mapped, and whether such maps were found to be trusted."""
    maps = facts.metrics.get("maps")
    if not maps:
        if facts.kind("model") not in LINEAR:
            return []
        return [
            Sentence.of(
                "The evidence in a scan is, for each voxel, its difference from the average training scan times its "
                "weight, which integrated gradients of a linear model amount to.",
                INTEGRATED_GRADIENTS,
            )
        ]
    way, cites = maps["method"].replace("_", " "), tuple[Reference, ...]()
    if maps["method"] == "integrated_gradients":
        way += " from eight typical volumes, which are random mixtures of the training volumes"
        cites = INTEGRATED_GRADIENTS, EXPECTED_GRADIENTS
    verdict = {True: "by these criteria they can be trusted", False: "by these criteria they cannot be trusted"}.get(
        maps["trusted"], "the scans were too few to tell whether they can be trusted"
    )
    examined = (
        f"On {maps['num_scans']} tested scans, what a map calls evidence was taken out of the volume, and put into the "
        "average training volume, in the order of its strength; the prediction was to follow sooner than in random "
        "order, and than in the order of a map of the same network with shuffled weights, and the map was to differ "
        f"from that one (p = {maps['p']:.2g}, correlation {maps['similarity'][-1]:.2f}): {verdict}."
    )
    return [
        Sentence.of(f"The evidence in a scan was mapped by {way}.", *cites),
        Sentence.of(examined, RISE, SANITY),
    ]


def software_sentences(facts: RunFacts) -> list[Sentence]:
    """Name the programs that the run used, with the versions that are installed."""
    versions = software_versions(facts)
    told = and_text([f"{_NAMES.get(name, name)} {version}" for name, version in versions.items()])
    cites = [SOFTWARE[name] for name in versions if name in SOFTWARE]
    return [
        Sentence.of(f"The software was mri3d {__version__} on Python {platform.python_version()}, with {told}.", *cites)
    ]


def software_versions(facts: RunFacts) -> Mapping[str, str]:
    """Return the distributions that such a run uses, with the versions that are installed."""
    used = ["torch", "pytorch-lightning", "monai"] if facts.is_network else []
    used += ["captum"] if facts.is_network and facts.metrics.get("maps") else []
    if facts.recipe is not None:
        used += ["nibabel"]
        brains = ["deepbet", "nilearn"] + ([] if "torch" in used else ["torch"])
        used += brains if facts.recipe.get("kind") == "brain" else []
    used += ["scikit-learn", "numpy", "scipy"]
    found = {}
    for name in used:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # it was there while the run lasted, or nothing would be reported
            continue
    return found
