"""Whoever hands on a run may have written anything into it: reading it does nothing but read, and says so in a line."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mri3d.cli.run_settings import read_configuration
from tests.cli.test_configs import configuration

TRACE, PICKLE = "trace", "weights.pkl"  # beside the runs

CALLS = {
    "joblib.load": {"filename": PICKLE},
    "pandas.read_pickle": {"filepath_or_buffer": PICKLE},
    "numpy.load": {"file": PICKLE, "allow_pickle": True},
    "torch.load": {"f": PICKLE, "weights_only": False},
    "pickle.loads": {"data": "cos\nsystem\n(S'touch trace'\ntR."},
    "builtins.open": {"file": TRACE, "mode": "w"},
    "builtins.exec": {"source": f"open({TRACE!r}, 'w')"},
    "builtins.eval": {"source": f"open({TRACE!r}, 'w')"},
    "shutil.copy": {"src": PICKLE, "dst": TRACE},
    "shutil.rmtree": {"path": "."},
    "os.system": {"command": f"touch {TRACE}"},
    "subprocess.Popen": {"args": ["touch", TRACE]},
    "runpy.run_path": {"path_name": PICKLE},
    "importlib.import_module": {"name": "evil_module"},
    "evil_module.Thing": {},
    "mri3d.files.write_text": {"path": TRACE, "text": "x"},
    "mri3d.files.atomic_path": {"path": TRACE},
    "mri3d.plan.build": {"node": {"_target_": "os.system", "command": f"touch {TRACE}"}},
    "mri3d.models.loading.load": {"folder": "."},
    "hydra.utils.instantiate": {"config": {"_target_": "os.system", "command": f"touch {TRACE}"}},
    "functools.partial": {"func": "os.system"},
}
FIRST = {"_target_": "builtins.open", **CALLS["builtins.open"]}

PLACES = (
    *(("data",), ("data", "demo"), ("data", "demo", "seed"), ("data", "skip_bad")),
    *(("preprocess", "crop"), ("model", "network"), ("model", "network", "channels"), ("model", "optimizer", "lr")),
    *(("trainer", "profiler"), ("trainer", "max_time"), ("evaluation", "validation"), ("resolution",), ("trust",)),
)

TEXTS = {
    "python-apply": "seed: !!python/object/apply:os.system ['touch trace']",
    "python-new": "seed: !!python/object/new:evil_module.Thing {}",
    "python-name": "seed: !!python/name:os.system",
    "python-module": "seed: !!python/module:evil_module",
    "python-tuple": "seed: !!python/tuple [1]",
    "binary": "seed: !!binary aGVsbG8=",
    "set": "seed: !!set {1}",
    "omap": "data: !!omap [{_target_: os.system}]",
    "pairs": "data: !!pairs [_target_: os.system]",
    "date": "name: 2020-01-01",
    "no-date": "name: 2020-99-99",
    "no-number": "seed: !!int abc",
    "no-truth": "seed: !!bool x",
    "no-time": "seed: !!timestamp x",
    "long-number": f"seed: {'9' * 5000}",
    "big-number": f"seed: {'9' * 100}",
    "long-text": f"name: {'x' * 20_000}",
    "anchor": "data: {_target_: mri3d.cohort.demo.Demo, demo: &evil {_target_: os.system}, skip_bad: *evil}",
    "anchor-elsewhere": "resolution: &evil {_target_: os.system, command: touch trace}\ndata: *evil",
    "merge": "resolution: &evil {_target_: os.system, command: touch trace}\ndata: {<<: *evil}",
    "laughs": "\n".join(["a0: &a0 [lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]),
    "merging-laughs": "\n".join(
        ["a0: &a0 {k: lol}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]
    ),
    "many-aliases": f"a: &a [{'1,' * 3000}]\nb: [{'*a,' * 3000}]",
    "within-itself": "seed: &a [*a]",
    "key-within-itself": "? &a [*a]\n: 1",
    "deep": f"seed: {'[' * 100}{']' * 100}",
    "deeper": f"seed: {'[' * 100_000}",
    "long": "#" * (1 << 19),
    "many": "".join(f"k{number}: 1\n" for number in range(30_000)),
    "nul": "name: a\0b",
    "written-nul": 'name: "a\\0b"',
    "escape": 'name: "\\e[2J\\e]0;x\\a"',
    "escape-as-key": '"\\e[2J": 1',
    "escape-as-target": 'data: {_target_: "\\e[2J.x"}',
    "surrogate": 'data: {_target_: "\\ud800.x"}',
    "two-documents": "---\nseed: 1",
    "scalar": "---\n--- hello",
    "environment": "data: {_target_: '${oc.env:HOME}'}",
    "resolver": "data: {_target_: '${oc.create:{_target_:os.system}}'}",
    "out-of-runs": "name: ../../x",
    "absolute": "name: /etc/x",
    "two-lines": 'name: "a\\nb"',
    "invisible-target": 'data: {_target_: "mri3d.cohort.demo.Demo\\u200b"}',
}

PROBE = """
import contextlib, io, json, os, resource, sys, time
found = []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FOREIGN = {"joblib", "pandas", "evil_module", "torch", "numpy", "pickle", "shelve", "runpy"}
DEEDS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename", "os.mkdir",
         "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.putenv", "subprocess.Popen",
         "shutil.", "socket.", "pickle.find_class", "urllib.", "ctypes.dlopen")
HYDRAS = (("os.putenv", b"HYDRA_FULL_ERROR"), ("os.mkdir", "."))  # what it does for any command line

def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or str(path) == os.devnull or not flags & WRITES:
            return
    elif event == "import":
        if arguments[0] not in known or arguments[0] in sys.modules:
            return
    elif not event.startswith(DEEDS) or (event, arguments[0]) in HYDRAS:
        return
    found.append([event, repr(arguments)[:200]])

from mri3d.cli import main, run_settings, train
import hydra.core.override_parser.overrides_parser, hydra.core.plugins  # Hydra's own are no deed of a run's
hydra.core.plugins.Plugins.instance()
command, option, *runs = sys.argv[1:]
if command == "pca":
    import mri3d.cli.app, mri3d.cli.maps, mri3d.cohort
known = FOREIGN - {"pickle"} if "pickle" in sys.modules else FOREIGN
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
sys.addaudithook(hook)
for run in runs:
    found.clear()
    sys.argv[:] = [command, f"{option}={run}"]
    said, began, status = io.StringIO(), time.monotonic(), None
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = main.main(command)
        except BaseException as error:
            status = repr(error)
    print(json.dumps([run, status, said.getvalue(), found, time.monotonic() - began]))
"""


def artefacts():
    """Return the name of each to the text of its config.yaml."""
    whole = configuration() | {"name": "x"}
    made = {}
    for name, arguments in CALLS.items():
        changed = copy.deepcopy(whole)
        changed["data"] = {"_target_": "mri3d.cohort.table.Table", "table": "t.csv", "root": {"_target_": name}}
        changed["data"]["root"] |= arguments
        made[f"root-{name}"] = changed
    for path in PLACES:
        for kind, call in {"": FIRST, "-later": FIRST | {"_partial_": True}, "-deep": [1, {"a": [FIRST]}]}.items():
            changed = inner = copy.deepcopy(whole)
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = copy.deepcopy(call)
            made[f"{'.'.join(path)}{kind}"] = changed
    for mark in ("_args_", "_recursive_", "_convert_"):
        changed = copy.deepcopy(whole)
        changed["model"][mark] = ["os.system"]
        made[mark] = changed
    changed = copy.deepcopy(whole)
    changed["trust"], changed["data"] = ["builtins.open"], FIRST
    made["trusts-itself"] = changed
    texts = {name: yaml.safe_dump(values, sort_keys=False) for name, values in made.items()}
    for name, text in TEXTS.items():
        replaced = [line for line in yaml.safe_load(text)] if name in ("out-of-runs", "absolute", "date") else []
        kept = {key: value for key, value in whole.items() if key not in replaced and f"{key}:" not in text}
        texts[name] = yaml.safe_dump(kept, sort_keys=False) + text
    return texts


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Write every artefact into a run of its own."""
    here = tmp_path_factory.mktemp("hostile")
    (here / PICKLE).write_bytes(b"cos\nsystem\n(S'touch trace'\ntR.")
    (here / "evil_module.py").write_text(f"open({TRACE!r}, 'w').close()\nThing = dict\n")
    texts = artefacts()
    for name, text in texts.items():
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "config.yaml").write_bytes(text.encode(errors="surrogatepass"))
    for name in ("folder", "pipe", "device", "latin"):
        (here / "runs" / name).mkdir()
    (here / "runs/folder/config.yaml").mkdir()
    os.mkfifo(here / "runs/pipe/config.yaml")
    (here / "runs/device/config.yaml").symlink_to("/dev/zero")
    (here / "runs/latin/config.yaml").write_bytes(b"trainer: {}\nseed: 0\nname: caf\xe9\n")
    return here


@pytest.fixture(scope="module")
def answers(here):
    """Give what each artefact was answered."""
    return answered(here, "train", "resume", sorted(path.name for path in (here / "runs").iterdir()))


def answered(here, command, option, names):
    """Name each run to a command in one process that is watched; give what was answered."""
    before = sorted(here.rglob("*"))
    runs = [f"runs/{name}" for name in names]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, command, option, *runs],
        cwd=here, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([root, str(here)]), "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(here.rglob("*")) == before, "something was written, moved or removed"
    return {line[0].removeprefix("runs/"): line[1:] for line in map(json.loads, done.stdout.splitlines())}


def test_sixty_hostile_artefacts_do_nothing_and_are_told_in_one_line(answers):
    assert len(answers) >= 60 + len(TEXTS)
    wrong = {
        name: (status, said[-300:], found, seconds)
        for name, (status, said, found, seconds) in answers.items()
        if status != 2 or found or seconds > 10 or said.count("error:") != 1 or len(said) > 2000
        or "Traceback" in said or not said.startswith("error:") or "config.yaml" not in said
        or any(ord(letter) < 32 and letter != "\n" for letter in said)
    }  # fmt: skip
    assert wrong == {}


def test_what_stands_in_braces_is_a_text_like_any_other(tmp_path):
    text = "trainer: {}\nseed: 0\ndata: {root: '${oc.env:PATH}', table: '${now:%Y}'}\n"
    (tmp_path / "config.yaml").write_text(text)
    assert read_configuration(tmp_path)["data"] == {"root": "${oc.env:PATH}", "table": "${now:%Y}"}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_at_the_root_of_the_data_is_named_and_not_made(answers, name):
    said = answers[f"root-{name}"][1]
    assert said.startswith(
        f"error: runs/root-{name}/config.yaml: data.root._target_={name} is not one that mri3d offer"
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trusts-itself", "data._target_=builtins.open is not one that mri3d offers"),
        ("laughs", "more than 20000 values"),
        ("merging-laughs", "merges values by <<"),
        ("merge", "merges values by <<"),
        ("many-aliases", "more than 20000 values"),
        ("within-itself", "holds itself"),
        ("deeper", "is damaged"),
        ("long", "more than 256 KiB"),
        ("written-nul", "control character"),
        ("escape-as-target", "control character"),
        ("omap", "a value of type tuple"),
        ("python-apply", "could not determine a constructor"),
        ("pipe", "is no file"),
        ("device", "is no file"),
        ("environment", "_target_=${oc.env:HOME} is not one that mri3d offers"),
    ],
)
def test_what_is_wrong_is_said(answers, name, message):
    assert message in answers[name][1]


@pytest.mark.slow  # Hydra reads each command line
def test_maps_of_a_hostile_run_do_nothing_either(here):
    names = [name for name in artefacts() if name.startswith(("root-", "data", "preprocess", "resolution"))]
    for name, (status, said, found, _) in answered(here, "pca", "run", sorted(names)).items():
        told = (status, found, said.count("\n"), said.startswith(f"error: runs/{name}/config.yaml: "))
        assert told == (2, [], 1, True), (name, said)
