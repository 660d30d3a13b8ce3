"""Splits by site, by a column, by another run, and alike in further columns."""

import itertools

import numpy as np
import pytest

from mri3d import Column, Holdout, KFold, LeaveSiteOut, UserError, evaluate, models
from mri3d.cohort.cohort import Cohort, Session
from mri3d.evaluation.folds import Sample, fold_texts
from mri3d.files import as_utf8
from mri3d.outcome import Classes, Measure
from tests.studies import class_study

CLASSES = Classes(("control", "patient"))


def sample(num_rows=40, *, targets=None, groups=None, **known):
    targets = np.arange(num_rows) % 2 if targets is None else np.asarray(targets)
    ids = [f"s{row:02d}" for row in range(len(targets))]
    return Sample(CLASSES, targets, np.array(ids if groups is None else groups), ids, **known)


def run_of(folder, folds, ids):
    """Write what a run with these folds leaves of them."""
    folder.mkdir()
    cohort = Cohort(tuple(Session(id, None, "control") for id in ids))
    texts = dict(zip(ids, fold_texts(folds, len(ids)), strict=True))
    (folder / "cohort.csv").write_bytes(as_utf8(cohort.to_csv(texts)))
    return folder


def sets_of(folds):
    return [fold.test_rows.tolist() for fold in folds]


def check_apart(folds, groups):
    for fold in folds:
        for one, other in itertools.combinations(fold.sides.values(), 2):
            assert not set(groups[one]) & set(groups[other])


# ---- by site


def test_each_site_is_tested_once_and_trains_nowhere_meanwhile():
    sites = ["a"] * 10 + ["b"] * 22 + ["c"] * 8
    given = sample(sites=sites)
    folds = LeaveSiteOut().split(given, seed=0)
    assert sets_of(folds) == [list(range(10)), list(range(10, 32)), list(range(32, 40))]
    for fold in folds:
        assert np.array_equal(np.sort(np.concatenate(list(fold.sides.values()))), np.arange(40))
        assert len(fold.validation_rows) == pytest.approx(0.2 * (40 - len(fold.test_rows)), abs=1)


def test_who_was_scanned_at_the_tested_site_too_takes_no_part_elsewhere(caplog):
    caplog.set_level("INFO")
    sites = ["a"] * 20 + ["b"] * 20
    groups = [f"p{row}" for row in range(40)]
    groups[30] = groups[3]  # travelled from a to b
    folds = LeaveSiteOut(validation=0.25).split(sample(sites=sites, groups=groups), seed=0)
    check_apart(folds, np.array(groups))
    assert sets_of(folds) == [list(range(20)), list(range(20, 40))]
    assert [row for fold in folds for row in range(40) if not any(row in side for side in fold.sides.values())] == [
        30,
        3,
    ]
    assert "fold 0 (site a): 1 session of those scanned there too take no part" in caplog.text


@pytest.mark.parametrize(
    ("sites", "targets", "message"),
    [
        ([None] * 8, None, r"no session has a site, so none can be left out. Name the column that has it \(site\)"),
        (["a", "b", "", None] * 2, None, r"4 sessions have no site: s02, s03, s06, s07. Fill them in where site says"),
        (["a"] * 8, None, r"all sessions are of one site, 'a', so none can be left out. Evaluate by kfold"),
        (
            ["a", "b"] * 4,
            None,
            r"no site can be scored: site 'a' has no session of class 'patient'; site 'b' has no ses",
        ),
        (["a"] * 6 + ["b"] * 2, [0, 0, 0, 0, 0, 0, 0, 1], r"training set of fold 1 has no session of class 'patient'"),
    ],
)
def test_sites_that_cannot_be_left_out_are_told(sites, targets, message):
    with pytest.raises(UserError, match=message):
        LeaveSiteOut(validation=0.0).split(sample(8, targets=targets, sites=sites), seed=0)


def test_a_site_of_one_class_is_named_and_sets_of(caplog):
    targets = [0, 1] * 8 + [0] * 4
    sites = ["a", "b"] * 4 + ["b", "a"] * 4 + ["c"] * 4
    folds = LeaveSiteOut(validation=0.0).split(sample(targets=targets, sites=sites), seed=0)
    assert "site 'c' has no session of class 'patient': some scores of these cannot be computed" in caplog.text
    assert len(folds) == 3


# ---- by a column


WORDS = ["train"] * 20 + ["Val"] * 8 + [" test "] * 12


def test_a_column_of_words_is_the_split():
    (fold,) = Column("split").split(sample(columns={"split": WORDS}), seed=0)
    assert [rows.tolist() for rows in fold.sides.values()] == [
        list(range(20)),
        list(range(20, 28)),
        list(range(28, 40)),
    ]


def test_without_a_word_for_validation_a_share_of_the_training_rows_is_taken():
    (fold,) = Column("split", validation=0.25).split(
        sample(columns={"split": ["training"] * 32 + ["test"] * 8}), seed=0
    )
    assert fold.test_rows.tolist() == list(range(32, 40))
    assert len(fold.validation_rows) == 8
    (fold,) = Column("split", validation=0.0).split(sample(columns={"split": ["training"] * 32 + ["test"] * 8}), seed=0)
    assert len(fold.validation_rows) == 0


@pytest.mark.parametrize("texts", [("1", "2", "5"), ("1.0", "2.0", "5.0")])
def test_a_column_of_numbers_says_which_fold_tests_a_row(texts):
    cells = [texts[row // 2 % 3] for row in range(36)]
    folds = Column("fold").split(sample(36, columns={"fold": cells}), seed=0)
    assert [fold.number for fold in folds] == [0, 1, 2]
    assert sets_of(folds) == [[row for row in range(36) if row // 2 % 3 == each] for each in range(3)]


@pytest.mark.parametrize(
    ("cells", "changes", "message"),
    [
        (
            ["train"] * 30 + ["tset"] * 10,
            {},
            r"column 'split' has 'tset', which are no sides of a split. Write train, val",
        ),
        (["train"] * 39 + [""], {}, r"column 'split' says nothing of 1 session: s39"),
        (["train"] * 30 + ["val"] * 10, {}, r"column 'split' puts nobody into test. Name both sides"),
        (["1"] * 40, {}, r"column 'split' puts everybody into fold 1, so nobody trains"),
        (["1"] * 20 + ["test"] * 20, {}, r"column 'split' has '1', which are no sides"),
        (
            ["train"] * 20 + ["test"] * 20,
            {"groups": [f"p{row % 39}" for row in range(40)]},
            r"column 'split' puts s00, s39 into train and test, but they are of one participant or group",
        ),
        (
            ["train"] * 20 + ["val"] * 10 + ["test"] * 10,
            {"targets": [0, 1] * 15 + [0] * 10},
            r"column 'split' leaves the test set of fold 0 with no session of class 'patient'",
        ),
        (
            [str(row % 5) for row in range(40)],
            {"groups": [f"p{row % 39}" for row in range(40)]},
            r"column 'split' puts s00, s39 into fold 0 and fold 4, but they are of one participant or group",
        ),
        (["train", "test"] * 20, {}, r"column 'split' leaves the training set of fold 0 with no session of class 'pat"),
    ],
)
def test_columns_that_are_no_split_are_told(cells, changes, message):
    with pytest.raises(UserError, match=message):
        Column("split", validation=0.0).split(sample(columns={"split": cells}, **changes), seed=0)


def test_a_column_that_was_not_kept_is_told():
    with pytest.raises(UserError, match=r"column='split' is no column that the study kept \(kept: age\)") as raised:
        Column("split").split(sample(columns={"age": ["3"] * 40}), seed=0)
    assert "evaluation.column=split" in raised.value.on_command_line()


# ---- another run's


@pytest.mark.parametrize("ours", [KFold(folds=4), KFold(folds=3, repeats=2), KFold(folds=2, repeats=3, validation=0.0)])
def test_the_tests_of_another_run_are_taken(tmp_path, ours):
    given = sample()
    folds = ours.split(given, seed=7)
    run = run_of(tmp_path / "run", folds, given.ids)
    again = KFold(splits=str(run), validation=ours.validation).split(given, seed=7)
    for one, other in zip(folds, again, strict=True):
        assert (one.number, one.repeat) == (other.number, other.repeat)
        for side in one.sides:
            assert np.array_equal(one.sides[side], other.sides[side])
    other_seed = KFold(splits=run).split(given, seed=8)
    assert sets_of(other_seed) == sets_of(folds)


def test_the_test_set_of_a_holdout_and_of_a_column_is_taken(tmp_path):
    given = sample(columns={"split": WORDS, "fold": [str(row // 10) for row in range(40)]})
    (fold,) = Column("split").split(given, seed=0)
    (again,) = Holdout(splits=run_of(tmp_path / "words", [fold], given.ids)).split(given, seed=0)
    assert np.array_equal(fold.test_rows, again.test_rows)
    folds = Column("fold").split(given, seed=0)
    assert sets_of(KFold(splits=run_of(tmp_path / "numbers", folds, given.ids)).split(given, seed=0)) == sets_of(folds)


def test_runs_whose_folds_cannot_be_taken_are_told(tmp_path):
    given = sample()
    run = run_of(tmp_path / "run", KFold().split(given, seed=0), given.ids)
    once = run_of(tmp_path / "once", Holdout().split(given, seed=0), given.ids)
    fewer = sample(38)
    grouped = sample(groups=["twins"] * 2 + [f"p{row}" for row in range(38)])
    untested = run_of(tmp_path / "untested", [], given.ids)
    (untested / "cohort.csv").write_text((once / "cohort.csv").read_text().replace(",test", ",train"))
    damaged = run_of(tmp_path / "damaged", KFold().split(given, seed=0), given.ids)
    (damaged / "cohort.csv").write_text("subject,label\ns00,a,b\n")
    strange = {text: run_of(tmp_path / name, [], given.ids) for name, text in (("a", "²"), ("b", "9" * 12), ("c", "x"))}
    for text, folder in strange.items():
        rows = "".join(f"{id},{text}\n" for id in given.ids)
        (folder / "cohort.csv").write_text(f"subject,fold\n{rows}")
    for splits, taken, message in (
        (KFold(splits=run), fewer, "is a run on other sessions: 2 sessions take no part now (s38, s39)"),
        (KFold(splits=run), sample(42), "is a run on other sessions: 2 sessions did not take part in it (s40, s41)"),
        (KFold(splits=run), grouped, "tested some of s00, s01 and trained on others, who must stay together now"),
        (KFold(splits=once), given, "has one test set, and k-fold evaluation several. Evaluate by holdout"),
        (Holdout(splits=run), given, "has 5 test sets, and a hold-out has one. Evaluate by kfold"),
        (Holdout(splits=untested), given, "is a run that tested nobody"),
        (KFold(splits=damaged), given, "cohort.csv is damaged: "),
        *(
            (KFold(splits=each), given, "is damaged: its cohort.csv has a fold that is none")
            for each in strange.values()
        ),
        (KFold(splits=tmp_path / "no"), given, "is no run: it has no cohort.csv"),
    ):
        with pytest.raises(UserError) as raised:
            splits.split(taken, seed=0)
        assert message in str(raised.value)


# ---- alike in further columns


@pytest.mark.parametrize("outcome", [CLASSES, Measure("score")])
def test_balanced_columns_are_alike_on_every_side_and_the_outcome_stays_so(outcome):
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 120) if outcome is CLASSES else random.normal(100, 15, 120)
    age, sex = random.uniform(20, 80, 120), random.choice(["F", "M"], 120)
    ids = [f"s{row:03d}" for row in range(120)]
    columns = {"age": [f"{each:.1f}" for each in age], "sex": sex.tolist()}
    given = Sample(outcome, targets, np.array(ids), ids, columns=columns)

    def spread(folds):
        """How far ages and the share of women differ between test sets, and the outcome."""
        parts = [fold.test_rows for fold in folds]
        return [
            np.ptp([values[rows].mean() for rows in parts]) for values in (age, (sex == "F").astype(float), targets)
        ]

    plain = np.mean([spread(KFold(validation=0.0).split(given, seed=seed)) for seed in range(5)], axis=0)
    alike = np.mean(
        [spread(KFold(validation=0.0, balance=["age", "sex"]).split(given, seed=seed)) for seed in range(5)], axis=0
    )
    assert alike[0] < plain[0] / 2, "mean ages of the test sets differ by half as much at most"
    assert alike[1] < plain[1] / 2
    assert alike[2] < (0.06 if outcome is CLASSES else 8), "about one patient in a test set of 24, half a deviation"


def test_columns_and_sites_of_a_study_are_found():
    ages = np.random.default_rng(0).uniform(20, 80, 24).round()
    study = class_study(covariates={"age": ages}, sites=["a", "b", "c"] * 8)
    model = models.KNN(k=3, num_components=2, inner_folds=2)
    assert len(evaluate(study, model, Holdout(balance=["age", "site"])).rows) == 5
    assert len(evaluate(study, model, LeaveSiteOut()).folds) == 3
    mixed = class_study(covariates={"age": [*ages[:3] + 0.5, "unknown", *ages[4:] + np.arange(20) / 100]})
    with pytest.raises(UserError, match="balance='age': a column of numbers has 'unknown'"):
        evaluate(mixed, model, Holdout(balance=["age"]))
    with pytest.raises(UserError, match=r"balance='sex' is no column that the study kept \(kept: site, age\)"):
        evaluate(study, model, Holdout(balance=["sex"]))
