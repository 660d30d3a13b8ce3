"""Prevalence, threshold and coverage from the command and from Python, on scans, by a model of several folds."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

import mri3d
from mri3d.cli.predict import main, predict
from mri3d.errors import UserError
from mri3d.inference import predict_scans
from mri3d.model_folder import CARD, SEAL
from mri3d.models.heatmap import STEP
from mri3d.outcome import HeldOut
from mri3d.outcome.conformal import class_p_values
from tests.report.reader import read
from tests.test_inference import AGE, CLASSES, head, rows_of, write_network
from tests.test_model_card import reseal

SHARES = [(0.7, 0.3), (0.6, 0.4)]
NEW_ENTRIES = ("repeat", "shares", "held_out")


def probabilities(positive):
    return np.stack([1 - positive, positive], axis=1)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Write two heads that differ, and what is none."""
    root = tmp_path_factory.mktemp("scans")
    head(root / "a.nii")
    image = nib.load(root / "a.nii")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:, ::-1] ** 1.2, image.affine), root / "b.nii")
    (root / "c.nii").write_bytes(b"text")
    return root


@pytest.fixture(scope="module")
def plain(tmp_path_factory, scans):
    """Predict by each fold's network, before anything is kept in its card."""
    folder = tmp_path_factory.mktemp("plain")
    return np.stack(
        [
            mri3d.load(write_network(folder / f"fold_{k}", seed=k))
            .predict(str(scans))[["p_a", "p_b"]][:2]
            .to_numpy(float)
            for k in (0, 1)
        ]
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, plain):
    """Write a run of two folds: tested rows of the one class look like scan a, those of the other like scan b."""
    folder, random = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    for k in (0, 1):
        targets, gap = np.arange(30) % 2, np.ptp(plain[k, :, 1])
        positive = plain[k, targets, 1] + random.normal(0, gap / 4, 30)
        held = HeldOut.of(targets, probabilities(positive))
        kept = {"shares": SHARES[k], "steered": held, "tested": held, "fold": k, "num_folds": 2}
        write_network(folder / f"model/fold_{k}", seed=k, **kept)
    return folder


def moved(plain, prevalence):
    """Move the folds' probabilities by Bayes, and let them vote [N, 2]."""
    weighed = plain * (np.array([1 - prevalence, prevalence]) / np.array(SHARES))[:, None]
    return (weighed / weighed.sum(axis=2, keepdims=True)).mean(axis=0)


def test_without_options_nothing_changes(run, plain, scans, tmp_path):
    assert predict_scans(run, str(scans), tmp_path, heatmap="none") == 1
    rows = rows_of(tmp_path)
    assert list(rows["a"]) == ["scan", "prediction", "p_a", "p_b", "status", "warnings", "spread"]
    found = [[float(rows[name][column]) for column in ("p_a", "p_b")] for name in "ab"]
    np.testing.assert_allclose(found, plain.mean(axis=0), rtol=1e-8)


def test_options_of_the_command_come_to_what_formulas_say(run, plain, scans, tmp_path, caplog):
    caplog.set_level("INFO")
    wanted = moved(plain, 0.1)
    asked = {"prevalence": 0.1, "threshold": float(wanted[:, 1].mean()), "coverage": 0.9}
    assert predict_scans(run, str(scans), tmp_path, heatmap="none", **asked) == 1
    rows = rows_of(tmp_path)
    assert list(rows["a"]) == ["scan", "prediction", "p_a", "p_b", "set", "status", "warnings", "spread"]
    np.testing.assert_allclose([[float(rows[n][c]) for c in ("p_a", "p_b")] for n in "ab"], wanted, rtol=1e-8)
    assert [rows[n]["prediction"] for n in "ab"] == ["b" if p >= asked["threshold"] else "a" for p in wanted[:, 1]]
    assert {rows[n]["prediction"] for n in "ab"} == {"a", "b"}, "by the most probable class both would be a"
    tests = [member.card.tested for member in mri3d.load(run).members]
    p_values = class_p_values(plain, tests)
    sets = ["; ".join(np.array(["a", "b"])[each > 0.1]) for each in p_values]
    assert [rows[n]["set"] for n in "ab"] == sets
    assert sets[0] != sets[1]
    assert rows["c"]["prediction"] == rows["c"]["set"] == ""
    facts = ["prevalence: a 0.9, b 0.1", "coverage: 0.9 by cross-conformal prediction over 2 folds (60 tested scans)"]
    facts += [f"threshold: b from a probability of {asked['threshold']:g} on, else a"]
    assert set(facts) <= set(caplog.messages)
    texts = [text for text in read(tmp_path / "report.html").texts if text.strip()]
    for fact in facts:
        name, _, text = fact.partition(": ")
        assert texts[texts.index(name) + 1].strip() == text
    card = texts[texts.index("Predictions", texts.index("scans")) :][1:]
    assert card[:2] == ["a", "ok"]
    assert card[3:10:2] == ["Probability of a", "Probability of b", "Set at 90 %", "SD between models"]
    assert card[8] == (sets[0] or "none")
    assert f"The prediction is {facts[2].partition(': ')[2]}." in texts
    assert any(
        text.startswith("The set holds the true class of about 90 % of the scans of each class") for text in texts
    )


def test_python_answers_as_the_command_does(run, scans, tmp_path):
    asked = {"prevalence": {"a": 0.8, "b": 0.2}, "threshold": {"sensitivity": 0.9}, "coverage": 0.8}
    predict_scans(run, str(scans), tmp_path, heatmap="none", **asked)
    table = mri3d.load(run).predict(str(scans), **asked)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    for row, told in zip(table.to_dict("records"), written, strict=True):
        assert list(row) == list(told)
        for name, value in row.items():
            if isinstance(value, float) and not np.isnan(value):
                assert float(told[name]) == pytest.approx(value, rel=1e-5)
            elif isinstance(value, str):
                assert told[name] == value


def test_sets_do_not_depend_on_the_prevalence(run, scans):
    model = mri3d.load(run)
    sets = [model.predict(str(scans), coverage=0.7, prevalence=share)["set"].tolist() for share in (None, 0.01, 0.9)]
    assert sets[0] == sets[1] == sets[2]


def test_heatmaps_explain_the_class_that_was_decided_for(run, scans, tmp_path):
    predict_scans(run, str(scans / "a.nii"), tmp_path, threshold=0.999)
    model = mri3d.load(run)
    heat = np.asarray(nib.load(tmp_path / "heatmaps/a_heatmap.nii.gz").dataobj)
    assert rows_of(tmp_path)["a"]["prediction"] == "a"
    assert model.predict(str(scans / "a.nii"))["prediction"].tolist() == ["b"]
    np.testing.assert_allclose(heat, np.asarray(model.explain(scans / "a.nii", "a").dataobj), atol=STEP / 2 + 1e-6)
    assert ["evidence for a" in image["alt"] for image in read(tmp_path / "report.html").images] == [True]


def test_results_are_kept_by_a_call_that_asks_for_the_same_only(run, scans, tmp_path, caplog):
    caplog.set_level("INFO")

    def kept(**asked):
        caplog.clear()
        predict_scans(run, str(scans), tmp_path, heatmap="none", **asked)
        return "2 of 3 were predicted by an earlier call, and are kept" in caplog.text

    assert [kept(coverage=0.9), kept(coverage=0.9), kept(coverage=0.8), kept(coverage=0.8, threshold=0.4)] == [
        *(False, True, False, False)
    ]
    before = (tmp_path / "predictions.csv").read_bytes()
    assert kept(coverage=0.8, threshold=0.4)
    assert (tmp_path / "predictions.csv").read_bytes() == before
    assert not kept(prevalence=0.3)
    assert kept(prevalence={"b": 0.3, "a": 0.7})
    assert not kept()
    assert kept()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"prevalence": 2}, "prevalence=2: how frequent a class is, is a number between 0 and 1"),
        ({"threshold": "balance"}, "Did you mean 'balanced'"),
        ({"coverage": 90}, "coverage=90 is no share between 0 and 1"),
        ({"coverage": 0.99}, r"needs 99 tested scans of each class, and there are 30 of a, 30 of b. Give 0.96 or less"),
    ],
)
def test_mistakes_are_told_before_a_scan_is_looked_for(run, tmp_path, asked, message):
    with pytest.raises(UserError, match=message):
        predict_scans(run, str(tmp_path / "nowhere"), tmp_path / "out", **asked)
    with pytest.raises(UserError, match=message):
        mri3d.load(run).predict(tmp_path / "nowhere", **asked)
    with pytest.raises(UserError, match=message):
        predict({"model": str(run), "scans": str(tmp_path / "nowhere"), "out": str(tmp_path / "out"), "trust": None}
                | {"heatmap": "none"} | asked)  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("typed", "facts"),
    [
        (["prevalence={a: 0.8, b: 0.2}", "threshold={specificity: 0.9}"], ["a 0.8, b 0.2", "specificity 0.9: "]),
        (["prevalence=0.2", "threshold=youden", "coverage=0.85"], ["a 0.8, b 0.2", "(youden: ", "0.85 by cross-"]),
        (["prevalence={\"a\": 0.8, 'b': 0.2}", "threshold={'sensitivity': 1}"], ["a 0.8, b 0.2", "sensitivity 1: "]),
        (["threshold=null", "coverage=null"], []),
    ],
)
def test_options_are_typed_as_the_help_says(run, scans, tmp_path, typed, facts):
    arguments = [f"model={run}", f"scans={scans / 'a.nii'}", f"out={tmp_path}", "heatmap=none", *typed]
    assert main(arguments) == 0
    told = "\n".join(read(tmp_path / "report.html").texts)
    assert all(fact in told for fact in facts)


def test_intervals_of_a_measure_are_in_its_unit(scans, tmp_path):
    errors = np.linspace(-9, 9, 19)
    tested = HeldOut.of(np.full(19, 50.0), 50 + errors)
    folder = write_network(tmp_path / "model", outcome=AGE, tested=tested, steered=tested)
    assert predict_scans(folder, str(scans), tmp_path / "out", heatmap="none", coverage=0.9) == 1
    rows = rows_of(tmp_path / "out")
    assert list(rows["a"]) == ["scan", "prediction", "low", "high", "status", "warnings"]
    low, value, high = (float(rows["a"][name]) for name in ("low", "prediction", "high"))
    assert (value - low, high - value) == pytest.approx((9, 9)), "the 18th of 19 errors"
    assert rows["c"]["low"] == rows["c"]["high"] == ""
    texts = [text for text in read(tmp_path / "out/report.html").texts if text.strip()]
    assert "90 % interval" in texts
    assert any(text.startswith("The interval holds the true age of about 90 % of the scans") for text in texts)
    for asked in ({"prevalence": 0.1}, {"threshold": 0.3}):
        with pytest.raises(UserError, match="is for classes, and the model predicts a value: age"):
            predict_scans(folder, str(scans), tmp_path / "other", **asked)


@pytest.mark.parametrize("outcome", [CLASSES, AGE])
def test_cards_without_the_new_entries_predict_as_they_did(scans, tmp_path, outcome):
    rows = HeldOut.of(np.arange(20) % 2, probabilities(np.linspace(0.1, 0.9, 20)))
    if outcome == AGE:
        rows = HeldOut.of(np.arange(20.0), np.arange(20.0))
    shares = None if outcome == AGE else (0.5, 0.5)
    kept = {"shares": shares, "steered": rows, "tested": rows, "facts": {"mri3d": "0.3.0"}}
    folder = write_network(tmp_path / "model", outcome=outcome, **kept)
    new = mri3d.load(folder).predict(str(scans / "a.nii"))
    card = json.loads((folder / CARD).read_text())
    reseal(folder, {name: value for name, value in card.items() if name not in (SEAL, *NEW_ENTRIES)})
    model = mri3d.load(folder)
    assert model.predict(str(scans / "a.nii")).to_dict() == new.to_dict()
    with pytest.raises(
        UserError, match=r"coverage=0.9 cannot be used: this model was written by mri3d 0.3.0, which kept no"
    ):
        model.predict(str(scans / "a.nii"), coverage=0.9)
    model.save(tmp_path / "again")
    assert mri3d.load(tmp_path / "again").members[0].card.tested is None
