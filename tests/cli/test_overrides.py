"""What users type, as Hydra reads it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.cli.overrides import hydra_overrides, targets, typed_values, without_aliases
from mri3d.errors import UserError

GROUPS, KEYS = ("data", "model", "trainer"), ("seed", "resolution", "name", "debug")
PARSER = OverridesParser.create()


def overrides(*arguments: str):
    return hydra_overrides(arguments, groups=GROUPS, keys=KEYS)


def parsed(argument, *others: str):
    """Give an argument as Hydra's own parser reads what we make of it."""
    (override,) = PARSER.parse_overrides(overrides(argument, *others)[len(others) :])
    return override


def text_of(value):
    """Give one value of a sweep without Hydra's note of how it was quoted."""
    return getattr(value, "text", value)


ODD = " \t{}[](),;:=~#&!<>\"'\\$*?éß脑\n"
TEXT = st.text(
    st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8", exclude_characters="\0")), max_size=20
).filter(lambda text: "${" not in text)  # that is an interpolation, quoted or not


@settings(deadline=None)
@given(TEXT)
def test_any_path_arrives_as_it_was_typed(text):
    override = parsed(f"data.root=/{text}")
    assert override.key_or_group == "data.root"
    assert override.value() == f"/{text}"
    assert not override.is_sweep_override()


@settings(deadline=None)
@given(st.lists(TEXT.filter(lambda text: not set(text) & set("()[]{},") and text == text.strip()), max_size=3))
def test_any_paths_in_a_list_arrive_as_they_were_typed(texts):
    assert parsed(f"data.root=[{', '.join('/' + text for text in texts)}]").value() == ["/" + text for text in texts]


@settings(deadline=None)
@given(st.lists(TEXT.filter(lambda text: not set(text) & set("()[]{},")), min_size=2, max_size=3))
def test_any_paths_of_a_sweep_arrive_as_they_were_typed(texts):
    override = parsed("data.root=" + ",".join("/" + text for text in texts), "-m")
    assert override.is_sweep_override()
    assert [text_of(value) for value in override.sweep_iterator()] == ["/" + text for text in texts]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("trainer.max_epochs=3", 3),
        ("model.optimizer.lr=1e-3", 1e-3),
        ("debug=true", True),
        ("data.group=null", None),
        ("data.group=", ""),
        ("data.unlabelled=[]", []),
        ("data.unlabelled=[0, 9]", [0, 9]),
        ("data.unlabelled=['0',\"n/a\"]", ["0", "n/a"]),
        ("data.unlabelled=['a, b',c d]", ["a, b", "c d"]),
        ("preprocess.crop=[[50,205],[60,225],[30,225]]", [[50, 205], [60, 225], [30, 225]]),
        ('data.scan="T1/{id}_T1.nii.gz"', "T1/{id}_T1.nii.gz"),
        ("data.scan={id}.nii*", "{id}.nii*"),
        ("data.scan={id}", "{id}"),
        ("data.scan=[ab]*/{id}[12]", "[ab]*/{id}[12]"),
        ("data.scan=sub-[0-9]?/*.nii", "sub-[0-9]?/*.nii"),
        ("data.root=~/study", "~/study"),
        ("data.root=/O'Brien, Müller & sons", "/O'Brien, Müller & sons"),
        ("data.root=[/O'Brien/a,/d'Arcy/b]", ["/O'Brien/a", "/d'Arcy/b"]),
        ("data.root='half quoted", "'half quoted"),
        ("data.id=str(7)", "7"),
        ("trainer.options={a: 1, b: [x, y]}", {"a": 1, "b": ["x", "y"]}),
    ],
)
def test_values_have_the_type_that_was_meant(argument, value):
    override = hydra_overrides([argument], groups=(*GROUPS, "preprocess"), keys=KEYS)[0]
    found = PARSER.parse_override(override).value()
    assert found == value
    assert type(found) is type(value)


def test_sweeps_are_left_to_hydra():
    sweep = ["resolution=50,100", "-m", "model=sfcn,resnet18"]
    assert overrides(*sweep) == ["-m", "resolution=50,100", "model=sfcn,resnet18"], "argparse wants them together"
    assert list(parsed("seed=range(0,3)", "-m").sweep_iterator()) == [0, 1, 2]
    assert list(parsed("seed=choice(4,7)", "--multirun").sweep_iterator()) == [4, 7]
    quotes = parsed("data.root=/a:',/'b,/c='", "-m")
    assert [text_of(value) for value in quotes.sweep_iterator()] == ["/a:'", "/'b", "/c='"]
    swept = parsed("data.scan={id}_T1.nii,'{id}, T2.nii',[a,b]", "-m")
    assert [text_of(value) for value in swept.sweep_iterator()] == ["{id}_T1.nii", "{id}, T2.nii", ["a", "b"]]


@pytest.mark.parametrize(
    ("argument", "made"),
    [
        ("trainer.devices=2", "++trainer.devices=2"),  # whether or not the group's file names it
        ("+trainer.devices=2", "++trainer.devices=2"),
        ("++trainer.devices=2", "++trainer.devices=2"),
        ("~trainer.devices=2", "~trainer.devices=2"),
        ("~trainer.devices", "~trainer.devices"),
        ("model=seed", "model=seed"),
        ("seed=3", "seed=3"),
        ("hydra.run.dir=x y", "hydra.run.dir=x y"),
        ("hydra/launcher=submitit_slurm", "hydra/launcher=submitit_slurm"),
        ("--config-dir=/a b", "--config-dir=/a b"),
    ],
)
def test_only_options_of_groups_are_marked(argument, made):
    assert overrides(argument) == [made]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("trianer.max_epochs=3", r"no key 'trianer'\. Did you mean 'trainer'\? The keys: data, "),
        ("++sede=3", r"no key 'sede'\. Did you mean 'seed'\?"),
        ("Data.root=/x", r"no key 'Data'\. Did you mean 'data'\?"),
        ("seed", r"'seed' is not of the form key=value"),
        ("model=sfcn,seed", r"model=sfcn,seed names several options\. Add -m"),
        ("seed.sub=3", r"no key 'seed\.sub'\. Did you mean 'seed'\?"),
    ],
)
def test_mistakes_are_named(argument, message):
    with pytest.raises(UserError, match=message):
        overrides(argument)


ALIASES = {"preprocess.resolution": "resolution", "model.trainer": "trainer"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["preprocess.resolution=30"], ["resolution=30"]),
        (["++preprocess.resolution=30"], ["resolution=30"]),
        (["model.trainer.max_epochs=3", "model.trainer.options.a=1"], ["trainer.max_epochs=3", "trainer.options.a=1"]),
        (["model.trainers=3", "preprocess.resolutions=1"], ["model.trainers=3", "preprocess.resolutions=1"]),
        (["preprocess.resolution=30", "resolution=30"], ["resolution=30", "resolution=30"]),
        (["resolution=20", "resolution=30"], ["resolution=20", "resolution=30"]),  # the last one counts, as in Hydra
        (["~preprocess.resolution", "-m", "odd"], ["~preprocess.resolution", "-m", "odd"]),
    ],
)
def test_a_value_has_one_place_whatever_path_it_is_typed_by(typed, meant):
    assert without_aliases(typed, ALIASES) == meant


@pytest.mark.parametrize(
    "typed",
    [
        ["preprocess.resolution=30", "resolution=50"],
        ["resolution=50", "+preprocess.resolution=30"],
        ["trainer.devices=2", "model.trainer.devices=1"],
    ],
)
def test_two_paths_of_a_value_that_contradict_each_other_are_named(typed):
    first, second = (each.lstrip("+") for each in typed)
    with pytest.raises(UserError, match=f"^{first} and {second} contradict each other: they are one value"):
        hydra_overrides(typed, groups=(*GROUPS, "preprocess"), keys=KEYS, aliases=ALIASES)


def test_values_are_read_by_the_same_grammar_where_nothing_is_composed():
    found = typed_values(["resume=runs/a b/{x}", "trust=[a.B, 'c.D']", "debug=true"], keys=["resume", "trust", "debug"])
    assert found == {"resume": "runs/a b/{x}", "trust": ["a.B", "c.D"], "debug": True}
    with pytest.raises(UserError, match="no key 'seed'"):
        typed_values(["seed=1"], keys=["resume", "trust"])
    with pytest.raises(UserError, match="'-m' is not of the form key=value"):
        typed_values(["-m"], keys=["resume", "trust"])


def test_targets_that_are_typed_are_found_at_any_depth():
    typed = overrides(
        "model.network._target_=my_module.MyNet",
        "trainer.profiler={_target_: my.Profiler, inner: [{_target_: my.Other}]}",
        "data.root=_target_",
        "seed=3",
    )
    assert targets(typed) == {"my_module.MyNet", "my.Profiler", "my.Other"}
    assert targets(overrides("data.scan={id}_target_.nii", "~trainer.devices")) == set()
