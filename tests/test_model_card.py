"""Model folders that somebody else wrote, sealed as ours are: refused by name, or used; nothing else happens."""

import copy
import functools
import json
import os
import resource
import struct
import sys
import time

import numpy as np
import pytest
import safetensors.numpy
import torch

from mri3d import Study, UserError, fit, load, models
from mri3d.files import digest, digest_json
from mri3d.model_folder import CARD, SEAL, WEIGHTS, Card, Contents, write_model
from mri3d.nets.networks import NETWORKS
from mri3d.outcome import Classes
from mri3d.volumes.reference import Reference
from tests.studies import SHAPE, planted

VOLUMES = planted([0.0, 2.0] * 8)
KINDS = {
    "network": None,
    "ridge": models.Ridge(num_components=0.9, inner_folds=2),
    "rbf_svm": models.RBFSVM(num_components=0.9, C=1.0, gamma=1.0, inner_folds=2),
    "knn": models.KNN(num_components=0.9, k=3, inner_folds=2),
}
DEEP: list[object] = []
for _ in range(400):
    DEEP = [DEEP]
ODD = [None, True, -1, 1e308, 10**400, "x\x1b[2J\ud800", [], {"a": 1}, [10**9] * 3, ["a", "b"], DEEP]


def reseal(folder, card, weights=None):
    """Write a card, and weights, as whoever knows how they are sealed can."""
    if weights is not None:
        (folder / WEIGHTS).write_bytes(weights)
        card = card | {"sha256": {WEIGHTS: digest(weights)}}
    card = {key: value for key, value in card.items() if key != SEAL}
    (folder / CARD).write_text(json.dumps(card | {SEAL: digest_json(card)}))


def network_contents(options, *, network="sfcn", shape=SHAPE, tensors=None):
    torch.manual_seed(0)
    built = NETWORKS["sfcn"](SHAPE, 1, channels=[2, 2], pooling=1)
    arguments = {"network": network, "options": options, "volume_shape": list(shape), "num_outputs": 1, "batch_size": 2}
    given = tensors or {name: tensor.numpy() for name, tensor in built.state_dict().items()}
    mean = np.random.default_rng(0).random((1, *shape), np.float32)
    return Contents("cnn", arguments, given, Card(Classes(("a", "b")), None, Reference(mean, -1.0, 1.0)))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Write a model folder of each kind."""
    folders = {}
    study = Study.from_arrays(VOLUMES, ["a", "b"] * 8)
    for kind, made in KINDS.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        if made is None:
            write_model(folders[kind], network_contents({"channels": [2, 2], "pooling": 1}))
        else:
            fit(study, made).save(folders[kind])
    return folders


@pytest.fixture
def folder(originals, request, tmp_path):
    """Copy the model folder of a kind."""
    for name in (CARD, WEIGHTS):
        (tmp_path / name).write_bytes((originals[request.param] / name).read_bytes())
    return tmp_path


WATCHED = {"on": False, "events": []}


def watch(event, arguments):
    if not WATCHED["on"]:  # it hears of every import and file of all tests, and cannot be taken away
        return
    changes = event in ("os.system", "os.exec", "subprocess.Popen", "os.remove", "os.rename", "os.mkdir", "os.chmod")
    changes |= event == "open" and isinstance(arguments[1], str) and not set(arguments[1]) <= set("rbt")
    if changes:
        WATCHED["events"].append((event, arguments))


@functools.cache
def watch_all():
    sys.addaudithook(watch)


def outcome_of_loading(folder):
    """Load and use a model; return whether it was refused. Anything but a UserError that names the folder fails."""
    watch_all()
    WATCHED["on"], WATCHED["events"] = True, []
    try:
        model = load(folder)
        model.predict_arrays(VOLUMES[:1])
        if model.heatmaps:
            model.explain_arrays(VOLUMES[:1])
        return False
    except UserError as error:
        told = str(error)
        assert folder.name in told or "no finite number" in told
        assert "\x1b" not in told
        return True
    finally:
        WATCHED["on"] = False
        assert WATCHED["events"] == []


def places(value, path=()):
    """List where values stand in a card, of a list the first only."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(card, path, value):
    """Return a card with another value at a place; without it where the value is `...`."""
    card = copy.deepcopy(card)
    parent = card
    for key in path[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return card


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_every_entry_of_a_sealed_card_may_be_anything(folder):
    card = json.loads((folder / CARD).read_text())
    assert not outcome_of_loading(folder)
    refused = 0
    for path in list(places(card)):
        if path and path[0] not in (SEAL, "sha256", "facts"):
            for value in (..., *ODD):
                reseal(folder, changed(card, path, value))
                refused += outcome_of_loading(folder)
    assert refused > 100


SHAPES = {
    "empty": lambda a: np.zeros((0,), a.dtype),
    "one": lambda a: np.ones((1,), a.dtype),
    "flat": lambda a: a.reshape(-1),
    "twice": lambda a: np.concatenate([a.reshape(-1)] * 2),
    "axes": lambda a: a.reshape((1, 1, *a.shape)),
    "scalar": lambda a: np.array(1.0),
    "bytes": lambda a: a.astype(np.int8),
    "complex": lambda a: a.astype(np.complex64),
    "nan": lambda a: np.full(a.shape, np.nan),
    "huge": lambda a: np.full(a.shape, 3e38, np.float32),
}


@pytest.mark.parametrize("folder", KINDS, indirect=True)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_every_array_of_a_sealed_folder_may_be_anything(folder):
    card, tensors = json.loads((folder / CARD).read_text()), safetensors.numpy.load((folder / WEIGHTS).read_bytes())
    for name, tensor in tensors.items():
        for kind, change in SHAPES.items():
            other = change(tensor)
            reseal(folder, card, safetensors.numpy.save(tensors | {name: other}))
            refused = outcome_of_loading(folder)
            assert refused or other.shape == tensor.shape, (name, kind)
            assert refused or kind not in ("nan", "complex"), (name, kind)
        reseal(folder, card, safetensors.numpy.save({key: one for key, one in tensors.items() if key != name}))
        assert outcome_of_loading(folder) == (name not in ("model.scaling", "reference.variations")), name


def header_of(weights):
    size = struct.unpack("<Q", weights[:8])[0]
    return json.loads(weights[8 : 8 + size]), weights[8 + size :]


@pytest.mark.parametrize("folder", ["network"], indirect=True)
def test_headers_of_safetensors_that_lie_are_refused(folder):
    card, weights = json.loads((folder / CARD).read_text()), (folder / WEIGHTS).read_bytes()
    header, body = header_of(weights)
    name = "model.blocks.0.0.weight"

    def written(header, length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + body

    lies = [written(header, length) for length in (0, 2**63, 2**64 - 1, 2 * len(weights), 100 << 20)]
    lies += [written(b"[" * 100_000), written(b'{"a":' * 50_000), written(b"\xff\xfe"), written(b"null"), b"", bytes(7)]
    lies += [weights[:-10], weights + b"x"]
    for entry in (
        *({"data_offsets": offsets} for offsets in ([0, 8], [-8, 8], [8, 0], [0, 2**62], [0], "x")),
        *({"dtype": dtype} for dtype in ("F99", "BF16", "F8_E4M3", "I8", "U64", 3)),
        *({"shape": shape} for shape in ([-1], [2**40, 2**40], [0, 2**62], [], "x", [1e9])),
    ):
        lies.append(written(header | {name: header[name] | entry}))
    for lie in lies:
        reseal(folder, card, lie)
        assert outcome_of_loading(folder), lie[:200]


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("sfcn", {"channels": [2**40, 2]}),
        ("sfcn", {"channels": [50_000, 50_000], "pooling": 1}),
        ("sfcn", {"channels": [1] * 100_000}),
        ("sfcn", {"channels": [2, 2], "kernel_size": 3001, "pooling": 1}),
        ("seed", {"dense": [10**9, 10**9]}),
        ("densenet121", {"layers": [10**9, 1, 1, 1]}),
        ("densenet121", {"layers": [1] * 10**5}),
        ("densenet121", {"growth": 10**9}),
        ("efficientnet-b0", {"depth": 1e9}),
        ("efficientnet-b0", {"width": 1e9}),
        ("resnet18", {"widths": [10**7] * 4}),
    ],
)
def test_a_network_larger_than_its_weights_is_not_built(tmp_path, network, options):
    write_model(tmp_path, network_contents(options, network=network, shape=(40, 40, 40)))
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=tmp_path.name):
        load(tmp_path)
    assert time.perf_counter() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB"


def test_a_network_whose_maps_do_not_fit_into_memory_is_not_run(tmp_path, monkeypatch):
    write_model(tmp_path, network_contents({"channels": [2, 2], "pooling": 1, "stride": 1}))
    assert load(tmp_path)
    sizes = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 4 * (4 * 2 * np.prod(SHAPE)) - 4}
    monkeypatch.setattr("mri3d.models.network.loading.os.sysconf", sizes.__getitem__)
    with pytest.raises(UserError, match="maps would not fit into the memory"):
        load(tmp_path)


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "broken link", "unreadable", "large"])
@pytest.mark.parametrize("folder", ["network"], indirect=True)
def test_what_is_no_file_of_bearable_size_is_not_read(folder, name, kind, monkeypatch):
    place = folder / name
    if kind == "large":
        monkeypatch.setattr("mri3d.model_folder.MAX_CARD_BYTES", 10)
        monkeypatch.setattr("mri3d.model_folder.os.sysconf", lambda _: 3)
    elif kind == "unreadable":
        place.chmod(0)
        if os.access(place, os.R_OK):
            pytest.skip("root reads everything")
    else:
        place.unlink()
        {
            "pipe": lambda: os.mkfifo(place),
            "device": lambda: place.symlink_to("/dev/zero"),
            "folder": place.mkdir,
            "broken link": lambda: place.symlink_to("nowhere"),
        }[kind]()
    with pytest.raises(UserError, match=folder.name):
        load(folder)
    if kind not in ("large", "unreadable"):
        from mri3d.model_folder import read_model

        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            read_model(folder)


def test_numbers_of_folds_that_are_written_oddly_are_no_folds(tmp_path):
    for number in ("0", "01", "٣", "²", "1_old"):
        write_model(tmp_path / f"fold_{number}", network_contents({"channels": [2, 2], "pooling": 1}))
    assert len(load(tmp_path).members) == 1
