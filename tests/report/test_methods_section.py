"""The methods of a run in sentences: each true for what the run did, none of what it did not do."""

import html

import pytest

from mri3d.outcome import Classes, Measure
from mri3d.report.elements import write_page
from mri3d.report.methods_section import methods_paragraphs, methods_section, software_versions
from mri3d.report.references import DELONG, WILSON, Sentence, numbered
from mri3d.report.run_facts import RunFacts
from mri3d.volumes.brain_recipe import BrainRecipe
from mri3d.volumes.reference import NUM_VARIATIONS
from tests.cli.test_configs import configuration
from tests.report.example import AGE, SEXES, class_metrics, metrics
from tests.report.reader import HOSTILE, read

RECIPE = {"resolution": 50, "orientation": "ras", "crop": "head", "resize": "pad", "intensity": "zscore", "version": 2}
BRAIN = {"kind": "brain", "resolution": 96, "size": 0.3, "version": 4}
COUNTS = {"total": 90, "sessions": 80, "participants": 80, "unlabelled": 7, "left_out": 3, "tested": 80}
TABLE = ("data=table", "data.root=/study", "data.table=t.csv")


def facts(*overrides: str, outcome=SEXES, recipe=RECIPE, shape=(50, 50, 50), num_folds=1, **more):
    """What a run of a command line knows, as if it had been tested."""
    scores = {"mae": 5.0, "r2": 0.5, "pearson_r": 0.7}
    found = metrics(scores, num_folds) if outcome is AGE else class_metrics(num_folds=num_folds)
    found |= {"num_subjects": COUNTS, **more}
    return RunFacts(configuration(*overrides), found, outcome, [("class a", "41"), ("class b", "39")], shape, recipe)


def parts(known):
    return {name: " ".join(each.text for each in found) for name, found in methods_paragraphs(known).items()}


def test_citations_are_numbered_by_their_first_place():
    texts, references = numbered([[Sentence.of("A.", WILSON), Sentence.of("B.")], [Sentence.of("C.", DELONG, WILSON)]])
    assert texts == ["A [1]. B.", "C [2, 1]."]
    assert references == [WILSON, DELONG]
    assert str(DELONG).endswith("Biometrics 1988;44:837-845. doi:10.2307/2531595")


def test_a_default_run_of_the_demo():
    told = parts(facts())
    assert told["data"] == (
        "The scans were heads that mri3d generated, not scans of people. 80 sessions took part; of 90 in all, 7 "
        "without a label and 3 whose scan could not be used took no part. The outcome was label (class a: 41, class b: "
        "39)."
    )
    assert told["preprocessing"] == (
        "Axes were brought to right, anterior, superior (RAS+) by the affine of each scan, without resampling. Each "
        "scan was cropped to the bounding box of the head. What was left was resampled to 50 x 50 x 50 voxels by "
        "linear interpolation, with the proportions of the scan kept by padding. An axis along which voxels became "
        "longer by a factor f was smoothed by a Gaussian with a standard deviation of (f - 1) / 2 of the scan's "
        "voxels beforehand, against aliasing. All that was as dark as the noise of air was given one value. "
        "Intensities beyond those of nearly all voxels were clipped, and the others standardised: the mean of the "
        "tissue was subtracted, and what was left divided by its standard deviation."
    )
    for sentence in (
        *("The model was a simple fully convolutional network (SFCN) (channels 32, 64, 128, 64; kernel size 3; ",),
        *(
            "cross-entropy, in which each class had the same weight",
            "AdamW, peak learning rate 0.003, weight decay 0.01.",
        ),
        *(
            "one-cycle schedule, with batches of 8 sessions, over 30 epochs.",
            "had not improved for 20 epochs, or at its",
        ),
        "end (9 epochs), and the weights of the epoch with the lowest validation loss were kept. In training, volumes",
        "rotated by up to 5 degrees about each axis, scaled by up to 5 % along each axis, shifted by up to 1.5 voxels",
    ):
        assert sentence in told["model"], sentence
    assert told["splitting"] == (
        "One test set was held out. The model learnt from 50 sessions, with 12 further ones for validation, and was "
        "tested on 15. Sessions were dealt so that the sets are alike in label. Sessions of one participant were never "
        "on two sides of a split."
    )
    assert "variance of DeLong summed over participants and groups." in told["scoring"]
    for other in ("Nadeau", "permutations", "same fold", "ComBat", "learning curve", "went on to its end", "sites"):
        assert other not in " ".join(told.values()), other
    assert told["explanation"] == "", "no maps were examined"


def test_a_measure_by_ridge_in_folds_of_arrays():
    known = facts(
        *("model=ridge", "model.alpha=1", "model.standardize=true", "evaluation=kfold"), outcome=AGE, num_folds=5
    )
    told = parts(RunFacts(known.configuration, known.metrics, AGE, [], (7, 8, 9), None))
    assert told["preprocessing"] == "Volumes (7 x 8 x 9 voxels) were taken as they were given, without preprocessing."
    assert "Volumes were smoothed by a Gaussian with a standard deviation of 2 % " in parts(known)["preprocessing"]
    assert "These were fixed: alpha 1. What did best in up to 5 inner folds" in told["model"]
    assert (
        "the number of components as many as explain 30, 50, 70, 90, 99 % of the variance, all (no PCA)."
        in told["model"]
    )
    assert "by the mean R² of what each held out" in told["model"]
    assert "each voxel was divided by its standard deviation" in told["model"]
    assert "Each model learnt from 62 sessions, and was tested on 15." in told["splitting"]
    assert "5-fold cross-validation: each session was tested once, by a model that had not" in told["splitting"]
    assert "times its weight" in told["explanation"]
    for other in ("DeLong", "Wilson", "accuracy", "epochs", "calibrat", "sigmoids", "temperature"):
        assert other not in " ".join(told.values()), other
    assert {*software_versions(known)} == {"nibabel", "scikit-learn", "numpy", "scipy"}


def test_brains_covariates_and_a_group():
    options = ("preprocess=brain", "resolution=96", "model.covariates=[age,sex]", "data.group=family", "model=sfcn")
    told = parts(facts(*TABLE, *options, recipe=BRAIN, shape=(96, 96, 96)))
    assert "by the networks of deepbet; scans without a skull were taken as they were." in told["preprocessing"]
    assert "0.3 was added to every voxel of a brain for each standard deviation" in told["preprocessing"]
    assert "resampled to 96 x 96 x 96 voxels of 2 mm in the space of the template" in told["preprocessing"]
    assert "the model was given the columns age and sex." in told["data"]
    assert "joined with 16 features of the image" in told["model"]
    assert "Sessions of one participant, or of one family, were never on two sides" in told["splitting"]
    masked = parts(facts(*TABLE, *options, "data.mask=m/{id}.nii", recipe=BRAIN | {"size": 0, "resolution": "native"}))
    assert "Masks of the brain came with the scans" in masked["preprocessing"]
    assert "was extracted" not in masked["preprocessing"]
    assert "size of the brain" not in masked["preprocessing"]
    assert "voxels of 1 mm" in masked["preprocessing"]


def test_the_voxels_of_brains_are_as_large_as_the_recipe_makes_them():
    """The report may not import recipes, and has the longest side of their box from here."""
    for resolution in (50, 96, 144):
        edge_mm = BrainRecipe(resolution).spacing_mm
        told = parts(facts(*TABLE, "preprocess=brain", recipe=BRAIN | {"resolution": resolution}))["preprocessing"]
        assert f"voxels of {edge_mm:.3g} mm" in told


@pytest.mark.parametrize(
    ("overrides", "num_folds", "sentence"),
    [
        (
            ["evaluation=kfold", "evaluation.balance=[age,sex]", "evaluation.seeds=3"],
            5,
            "are alike in label, age and sex.",
        ),
        ([*TABLE, "evaluation=leave_site_out"], 3, "Each of 3 sites was the test set once, for a model"),
        (
            [*TABLE, "evaluation=column", "evaluation.column=part"],
            1,
            "fixed beforehand, in the column part of the table.",
        ),
        (["evaluation=kfold", "evaluation.splits=runs/x"], 5, "The test sets were those of another run."),
    ],
)
def test_ways_to_split(overrides, num_folds, sentence):
    told = parts(facts(*overrides, num_folds=num_folds))
    assert sentence in told["splitting"]
    assert ("alike" in told["splitting"]) == ("balance" in str(overrides))
    assert ("fitted 3 times with different seeds" in told["model"]) == ("seeds" in str(overrides))


def test_repeats_and_a_final_model():
    known = facts("evaluation=kfold", num_folds=10)
    for number, fold in enumerate(known.metrics["folds"]):
        fold["repeat"] = number // 5
    assert (
        "5-fold cross-validation, which was repeated 2 times with sessions dealt anew: each session was tested once "
        "each time, by a model" in parts(known)["splitting"]
    )
    final = facts("evaluation=all")
    final.metrics["test"] = {}
    final.metrics["folds"][0]["num_test"] = 0
    told = parts(final)
    assert told["splitting"].startswith(
        "The model was fitted to all sessions, and tested on none. The model learnt from 50 sessions, with 12 further"
    )
    assert told["scoring"] == ""


def test_what_was_asked_for_on_top():
    told = parts(
        facts(
            *("model=linear_svm", "evaluation=nested", "evaluation.harmonize=site"),
            num_folds=5,
            intervals={"widening": 1.5},
            leaks={"near_copies": [{}, {}], "across": 1},
            calibration={"fits": [{"fold": 0, "method": "sigmoids"}], "estimates": {"b": {}}},
            permutation={"number": 999, "method": "refitted"},
            confounds={
                "associations": [{"name": "age", "values": "mean 5 in F", "test": "Kruskal-Wallis"}],
                "columns": ["age"],
                "scores": {"both": {}},
            },
            learning_curve={"fractions": [0.5, 1.0], "law": {}},
            strata={"members": [{"variable": "age"}, {"variable": "age"}, {"variable": "scan"}]},
            harmonization={"by": "site"},
            chosen={"C": {"0.1": 3, "1": 2}},
        )
    )
    for sentence in (
        "standard errors were multiplied by the factor of Nadeau and Bengio, 1.50.",
        "those of 999 permutations of the labels, within test folds and sites and between groups of equal size; the "
        "model was fitted anew for each.",
        "Whether label goes with age was tested (Kruskal-Wallis), with p adjusted for their number.",
        "predicted from age alone, by a linear model and by boosted trees; from image and columns together, by ",
        "taken out of every voxel by ComBat, fitted without labels",
        "fitted again to 50 % of the sessions that it learns from, and a power law was fitted to the scores.",
        "Scores were also computed by age and how a scan compares with those of the training.",
    ):
        assert sentence in told["scoring"], sentence
    assert "after a linear regression" not in told["scoring"], "no such model was found"
    assert "2 pairs that may be such were found, 1 of them on two sides of a split." in told["splitting"]
    assert "Decisions became probabilities by sigmoids" in told["model"]
    assert "Chosen were C 0.1 (3 x) and 1 (2 x)." in told["model"]


def test_a_grid_takes_the_place_of_settings():
    grid = "evaluation.grid={optimizer.lr: [1e-3, 3e-3]}"
    told = parts(facts("evaluation=nested", grid, "model.patience=7", outcome=AGE, num_folds=5))
    assert "In each fold, optimizer.lr (among 0.001, 0.003) took the place of what is said above" in told["model"]
    assert "in 3 inner folds of its training sessions, by the mean R²." in told["model"]
    assert "had not improved for 7 epochs" in told["model"]


@pytest.mark.parametrize(
    ("trusted", "verdict"),
    [(True, "they can be trusted"), (False, "they cannot be trusted"), (None, "were too few to")],
)
def test_examined_maps(trusted, verdict):
    maps = {"method": "integrated_gradients", "num_scans": 6, "p": 0.016, "similarity": [0.5, 0.1], "trusted": trusted}
    told = parts(facts(maps=maps))["explanation"]
    assert "mapped by integrated gradients from eight typical volumes, which are random mixtures" in told
    assert 2 * NUM_VARIATIONS == 8
    assert "On 6 tested scans" in told
    assert verdict in told


def test_without_settings_only_results_are_told():
    told = parts(RunFacts({}, class_metrics(), SEXES))
    assert told["model"] == ""
    assert told["data"] == "The outcome was label."


def test_hostile_texts_are_only_texts(tmp_path):
    known = facts(*TABLE, "evaluation=column", "evaluation.column=x", "model.covariates=[age]")
    known.configuration["evaluation"]["column"] = HOSTILE
    known.configuration["model"]["covariates"] = [HOSTILE]
    known.configuration["model"]["network"]["_target_"] = HOSTILE
    told = RunFacts(known.configuration, known.metrics, Measure(HOSTILE), [(HOSTILE, "שלום")], (5, 5, 5), None)
    write_page(tmp_path / "page.html", title="t", sections=methods_section(told))
    reader = read(tmp_path / "page.html")
    assert "script" not in reader.tags
    assert sum(text.count(HOSTILE) for text in reader.texts) >= 5
    classes = RunFacts({}, class_metrics(), Classes((HOSTILE, "b"), name=HOSTILE))
    assert HOSTILE in html.unescape("".join(methods_section(classes)))
    assert HOSTILE not in "".join(methods_section(classes))
