"""The contract: new scans of the same kind are ok, damaged ones are not, and nothing unsound is read from a folder."""

import functools
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mri3d import BrainRecipe
from mri3d.contract.contract import MAX_REASONS, Contract, Judgement
from mri3d.contract.deviations import LIMITS, Deviations
from mri3d.contract.measures import OF_SCANS, OF_VOLUMES, TURNED, TURNED_RAS, measures_of, values_of
from mri3d.contract.outlier_model import Unlikeness
from mri3d.scans.scan import ScanError, read_scan
from mri3d.scans.traits import traits_of
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory
from tests import damages
from tests.scans.heads import made_head, scan_of
from tests.scans.phantom import SHARED_DATA, needs_shared_data

RECIPE = Recipe(24)
TRAINED, NEW = 40, 20


class OfRecipe(InMemory):
    """Volumes that a recipe made."""

    recipe = RECIPE


def volume_of(scan, recipe=RECIPE):
    try:
        return recipe.volume(scan)
    except ScanError:
        return None


@functools.cache
def cohort():
    """Return traits and volumes of made-up heads."""
    scans = [scan_of(made_head(seed)) for seed in range(TRAINED + NEW)]
    return [traits_of(scan) for scan in scans], OfRecipe(np.stack([RECIPE.volume(scan) for scan in scans]))


@functools.cache
def contract():
    return Contract.fit(*cohort(), np.arange(TRAINED))


def judged(scan):
    return contract().judge(traits_of(scan), volume_of(scan))


def test_new_heads_of_the_same_kind_are_ok():
    traits, volumes = cohort()
    judgements = [contract().judge(traits[row], volumes[row]) for row in range(TRAINED, TRAINED + NEW)]
    assert judgements.count(Judgement("ok")) >= NEW - 1
    assert all(judgement.status != "outside" for judgement in judgements)


def test_a_head_back_to_front_is_outside_however_little_it_differs():
    usual = contract().deviations
    wide = replace(contract(), deviations=replace(usual, below=100 * usual.below, above=100 * usual.above))
    traits, volumes = cohort()
    turned = np.ascontiguousarray(volumes[TRAINED][:, :, ::-1])
    assert wide.judge(traits[TRAINED], volumes[TRAINED]) == Judgement("ok")
    assert wide.judge(traits[TRAINED], turned) == Judgement("outside", ("it seems to be back to front",))


@pytest.mark.parametrize("way", damages.damages_of(scan_of(made_head()), np.random.default_rng(0)))
def test_a_damaged_head_is_not_ok(way):
    judgement = judged(damages.damages_of(scan_of(made_head(50)), np.random.default_rng(0))[way]())
    assert judgement.status != "ok"
    assert 1 <= len(judgement.reasons) <= MAX_REASONS


@pytest.mark.parametrize(
    ("damage", "status", "told"),
    [
        (lambda scan: damages.changed(scan, scan.data[:, :, ::-1]), "outside", "it seems to be upside down"),
        (lambda scan: damages.changed(scan, scan.data[:, ::-1]), "outside", "it seems to be back to front"),
        (lambda scan: damages.changed(scan, scan.data.transpose(1, 2, 0)), "outside", "it seems to be turned onto"),
        (lambda scan: damages.resized(scan, 1.5, 1.5, 1.5), "outside", "the head measures 2[0-9]{2} mm from"),
        (lambda scan: damages.resized(scan, 1, 1, 1.5), "outside", "its voxels measure 6 mm from bottom to .* 4 mm"),
        (lambda scan: damages.blurred(scan, 12), "unusual|outside", "it is more blurred: fine structure"),
        (lambda scan: damages.noisy(scan, 0.2, np.random.default_rng(0)), "unusual|outside", "it is noisier: "),
        (lambda scan: damages.header_turn(scan, 1), "unusual", "its header turns the grid by 30 degrees"),
        (lambda scan: damages.resampled_turn(scan, 1), "outside", "the head is turned by .* about the axis from"),
        (lambda scan: damages.half(scan, 0, False, zeroed=True), "outside", "where the scan ends at the right, [4-9]"),
        (lambda scan: damages.changed(scan, (scan.data > 50).astype(np.uint8)), "outside", "it is a mask, and"),
        (lambda scan: damages.changed(scan, 200 - scan.data.clip(6, 200)), "outside", "intensities are inverted"),
    ],
)  # fmt: skip
def test_the_reasons_name_the_damage(damage, status, told):
    judgement = judged(damage(scan_of(made_head(51))))
    assert judgement.status in status.split("|")
    assert any(re.search(told, reason) for reason in judgement.reasons), judgement


def test_headers_that_differ_by_a_few_percent_are_ok():
    head = made_head(52)
    for factors in ((1.03, 0.97, 1.03), (0.98, 1.02, 1), (1, 1, 1)):
        assert judged(damages.resized(scan_of(head), *factors)) == Judgement("ok")


def test_air_around_the_head_is_no_fault():
    assert judged(scan_of(np.pad(made_head(53), 30))) == judged(scan_of(made_head(53)))


def test_left_and_right_cannot_be_known():
    assert judged(scan_of(made_head(54)[::-1])).status == judged(scan_of(made_head(54))).status == "ok"


def test_scans_of_several_scanners_widen_what_is_ok():
    def other(seed):
        return damages.resized(scan_of(made_head(seed, noise=9)), 1.25, 1, 0.9)

    scans = [scan_of(made_head(seed)) if seed % 2 else other(seed) for seed in range(TRAINED)]
    volumes = OfRecipe(np.stack([RECIPE.volume(scan) for scan in scans]))
    both = Contract.fit([traits_of(scan) for scan in scans], volumes, np.arange(TRAINED))
    for scan in (scan_of(made_head(55)), other(56)):
        assert both.judge(traits_of(scan), RECIPE.volume(scan)).status == "ok"
    assert judged(other(56)).status != "ok"


@pytest.mark.parametrize("num_rows", [2, 3, 10])
def test_few_training_scans_call_no_ordinary_scan_outside(num_rows):
    traits, volumes = cohort()
    few = Contract.fit(traits, volumes, np.arange(num_rows))
    statuses = Counter(few.judge(traits[row], volumes[row]).status for row in range(10, TRAINED))
    assert statuses["outside"] == 0
    assert statuses["ok"] >= 28
    assert few.judge(*of(damages.half(scan_of(made_head(57)), 2, False, zeroed=False))).status != "ok"


def of(scan):
    return traits_of(scan), volume_of(scan)


def test_false_alarms_do_not_add_up_over_measures():
    random = np.random.default_rng(0)
    measures = measures_of([measure.name for measure in OF_SCANS])
    for together in (0.0, 0.8):
        shared = random.standard_normal((2400, 1))
        table = together * shared + np.sqrt(1 - together**2) * random.standard_normal((2400, len(measures)))
        usual = Deviations.fit(measures, table[:400])
        sizes = [usual.size(off) for off in usual.off(table[400:])]
        assert np.mean(np.array(sizes) > usual.limit) < 0.03
        assert np.max(sizes) < 1.5 * usual.limit


def test_arrays_have_a_contract_too():
    random = np.random.default_rng(0)
    volumes = random.standard_normal((60, 2, 7, 8, 9)).astype(np.float32) + np.linspace(-2, 2, 9, dtype=np.float32)
    arrays = Contract.fit([], InMemory(volumes), np.arange(40))
    assert [measure.name for measure in arrays.deviations.measures] == [m.name for m in (*OF_VOLUMES, *TURNED)]
    assert sum(arrays.judge(None, volume).status == "ok" for volume in volumes[40:]) >= 18
    assert arrays.judge(None, 3 * volumes[41]).status == "outside"
    reasons = arrays.judge(None, volumes[41][..., ::-1]).reasons
    assert reasons[0] == "it seems to be turned or mirrored about its axes"
    assert contract().deviations.measures[-3:] == TURNED_RAS


def test_what_alignment_takes_away_does_not_count_where_brains_are_aligned():
    traits, volumes = cohort()
    aligned = InMemory(volumes.volumes)
    aligned.recipe = BrainRecipe(24)
    few = Contract.fit(traits, aligned, np.arange(TRAINED))
    assert few.to_json()["measures"][:4] == ["sharpness", "noise", "error", "distance"]
    scan = scan_of(made_head(58))
    smaller = replace(scan, affine=scan.affine @ np.diag([0.7, 0.7, 0.7, 1]))
    assert contract().judge(traits_of(smaller), volumes[58]).status == "outside"
    assert few.judge(replace(traits[58], box_mm=(90.0, 90.0, 90.0), head_ml=700.0), volumes[58]).status == "ok"


def test_masks_are_ok_where_masks_were_trained_on():
    masks = [scan_of((made_head(seed) > 50).astype(np.uint8)) for seed in range(12)]
    recipe = Recipe(24, crop="none", intensity="minmax")
    volumes = InMemory(np.stack([recipe.volume(scan) for scan in masks]))
    volumes.recipe = recipe
    trained = Contract.fit([traits_of(scan) for scan in masks], volumes, np.arange(10))
    assert trained.judge(traits_of(masks[11]), volumes[11]).status == "ok"
    assert trained.judge(traits_of(scan_of(made_head(3))), volume_of(scan_of(made_head(3)), recipe)).status != "ok"


def test_what_is_told_of_a_measure():
    (size, cut) = measures_of(["head_ml", "cut_left"])
    assert size.told(3104.2, 1900, 2700) == (
        "the head measures 3,104 ml: check the voxel size, and whether it is whole (training scans: 1,900 to 2,700 ml)"
    )
    assert cut.told(0.5, 0, 0).endswith(
        "at the left, 50 % of the head's outermost plane is tissue (training scans: 0 %)"
    )
    assert set(values_of(None, Unlikeness(1.0, 2.0, (3.0, 4.0, 5.0)))) == {
        measure.name for measure in (*OF_VOLUMES, *TURNED, *TURNED_RAS)
    }


def test_a_model_folder_keeps_it():
    told, tensors = json.loads(json.dumps(contract().to_json())), contract().tensors()
    read = Contract.from_parts(told, tensors, (1, 24, 24, 24))
    assert read.to_json() == contract().to_json()
    for seed in range(3):
        for scan in (scan_of(made_head(seed)), damages.blurred(scan_of(made_head(seed)), 10)):
            assert read.judge(*of(scan)) == judged(scan)
    assert sum(tensor.nbytes for tensor in tensors.values()) < 3e6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("measures", lambda value: value[:-1]),
        ("measures", lambda value: "error"),
        ("measures", lambda value: value[:-1] + value[:1]),
        ("measures", lambda value: []),
        ("measures", lambda value: [*value[:-1], "weight"]),
        ("measures", lambda value: [*value[:-1], ["error"]]),
        ("centre", lambda value: value[1:]),
        ("centre", lambda value: [float("nan"), *value[1:]]),
        ("low", lambda value: ["1", *value[1:]]),
        ("high", lambda value: [1e300, *value[1:]]),
        ("below", lambda value: [0.0, *value[1:]]),
        ("above", lambda value: [-1.0, *value[1:]]),
        ("limit", lambda value: LIMITS[1] + 1),
        ("limit", lambda value: True),
        ("joint", lambda value: -1.0),
        ("joint", lambda value: None),
        ("backgrounds", lambda value: ["blue"]),
        ("backgrounds", lambda value: "air"),
        ("labels", lambda value: ["x" * 1000]),
        ("labels", lambda value: [3]),
        ("outside_from", lambda value: 0.5),
        ("outside_from", lambda value: "2"),
    ],
)
def test_what_is_no_contract_is_refused(name, change):
    told = contract().to_json()
    with pytest.raises((ValueError, KeyError, TypeError)):
        Contract.from_parts(told | {name: change(told[name])}, contract().tensors(), (1, 24, 24, 24))
    del told[name]
    with pytest.raises(KeyError, match=name):
        Contract.from_parts(told, contract().tensors(), (1, 24, 24, 24))


@pytest.mark.parametrize("change", [lambda array: array[1:], lambda array: array * np.nan, lambda array: array * 1e30])
def test_an_unsound_precision_is_refused(change):
    tensors = contract().tensors()
    changed = change(tensors["precision"]).astype(np.float32)
    with pytest.raises(ValueError, match="precision of the contract"):
        Contract.from_parts(contract().to_json(), tensors | {"precision": changed}, (1, 24, 24, 24))


@pytest.mark.slow
@needs_shared_data
def test_real_heads_are_ok_and_damaged_ones_are_not():
    recipe, paths = Recipe(50), sorted((SHARED_DATA / "ixi" / "T1").glob("*.nii.gz"))
    order = np.random.default_rng(0).permutation(len(paths))[:100]
    scans = [damages.ras(read_scan(paths[place])) for place in order]
    traits, volumes = [traits_of(scan) for scan in scans], InMemory(np.stack([recipe.volume(scan) for scan in scans]))
    volumes.recipe = recipe
    trained = Contract.fit(traits, volumes, np.arange(60))
    new = Counter(trained.judge(traits[row], volumes[row]).status for row in range(60, 100))
    assert new["ok"] >= 38
    assert new["outside"] == 0
    found: dict[str, Counter[str]] = {}
    for scan in scans[60:63]:
        for way, damage in damages.damages_of(scan, np.random.default_rng(0)).items():
            damaged = damage()
            status = trained.judge(traits_of(damaged), volume_of(damaged, recipe)).status
            found.setdefault(way, Counter())[status] += 1
    assert [way for way, statuses in found.items() if statuses["ok"]] == []
    at_most_unusual = {way for way, statuses in found.items() if statuses["unusual"]}
    mild = {"turned_30_x", "turned_-30_x", "blur_6mm", "voxels_x1.5_x", "voxels_x1.5_y", "voxels_x1.5_z"}
    assert at_most_unusual <= mild | {"header_30_x", "header_30_y", "header_30_z"}
    for path in sorted((SHARED_DATA / "depression-bids").glob("sub-*/anat/*.nii.gz")):
        scan = read_scan(path)
        assert trained.judge(traits_of(scan), recipe.volume(scan)).status == "outside", path
