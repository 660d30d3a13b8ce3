"""`--help`: the groups and their options, and every argument of those that are chosen."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mri3d.cli import layers, trust
from mri3d.cli.configuration import ALIASES, GROUPS, KEYS, Schema, conf_folder, default_options
from mri3d.cli.hydra_options import with_values
from mri3d.cli.overrides import elements, hydra_overrides, without_aliases
from mri3d.cli.places import PLACES, installed_networks
from mri3d.cli.signatures import Argument, Signature, as_typed, read_signature
from mri3d.cli.sources import constant
from mri3d.plan import MARKS, MISSING

RESERVED = "mri3d.models.network.trainer.RESERVED"
TRAIN = """\
Train and evaluate a model of 3D brain scans.

Groups and their options (group=option; {program} model=sfcn --help lists every argument of an option):
{groups}
Plain keys: task=classification (or regression), resolution=50 (voxels along an edge, or native), seed=0, name=...,
resume=runs/x/y (go on with a run that was cut off; with data.root=/new where its data moved), trust=my_module.MyNet
(code that a run may import), debug=false. Hydra's options work too: --cfg job shows what would run, see --hydra-help.
Any argument of an option can be set: model.batch_size=4 trainer.max_epochs=60 data.demo.num_subjects=40
A network of your own: model.network._target_=my_module.MyNet{networks}
Several runs, one after the other: -m and values separated by commas.

Examples:
  {program} resolution=100 trainer.devices=2
  {program} data=table data.root=/study data.table=subjects.csv data.label=sex 'data.scan="T1/{{id}}.nii.gz"'
  {program} -m model=sfcn,linear_svm evaluation=nested resolution=50,100
"""
PREDICT = """\
Predict new scans with a trained model.

  model=runs/x/y      a run, its model folder, or one fold's folder
  scans='/new/*.nii'  a file, a glob, a folder (searched through), a BIDS root, or a list '[a.nii,b.nii]'
  out=results         where to write predictions.csv, heatmaps/ and report.html; the same command goes on where it was
                      cut off, and no file is replaced that mri3d did not write
  heatmap=integrated_gradients
                      what differs from typical training scans and counts; or none; or smoothgrad, hirescam,
                      guided_backprop, occlusion, or gradcam, which is coarse: its strongest place can lie many
                      centimetres from what decided, for brighter regions too; of linear models also weights, pattern
  layer=blocks.2      of a network, whose map gradcam and hirescam weigh
  space=mni           of a model that was trained with preprocess=brain: heatmaps in the space of MNI152, where those of
                      all scans lie alike (default: scan, each on its own grid)
  prevalence=0.1      how frequent the second of two classes is among such scans, or '{{a: 0.2, b: 0.8}}' of all
                      classes: moves the probabilities (default: as frequent as in training)
  threshold=0.3       predict the second class from this probability on; or balanced (each class is held against how
                      frequent it is), youden, or '{{sensitivity: 0.9}}' or '{{specificity: 0.9}}', on what training
                      held out (default: the most probable class)
  force=true          predict scans too that are outside of what the model was trained on, as other body parts and heads
                      upside down are (default: they have no prediction, and the exit status is 1)
  coverage=0.9        also a set of classes, or an interval of a value, that holds the truth so often
  table=new.csv       for a model with covariates: a CSV or TSV file that has them, and a column that names the scan or
                      the participant (id=column says which)
  mask='{{id}}_mask.nii.gz'
                      for a model trained with preprocess=brain: your own mask of the brain in each scan, beside it
  trust=my_module.MyNet
                      a network of your own that the model was trained with: loading it runs its code
  debug=false         show the traceback of an error

Examples:
  {program} model=runs/demo-sfcn-50/2030-01-31_12-00-00 scans='/new/*.nii.gz' out=results
  {program} model=runs/x/y scans=/bids out=results heatmap=none
  {program} model=runs/x/y scans='/new/*.nii.gz' prevalence=0.05 threshold=balanced coverage=0.9
"""
EXPLAIN = """\
Show where the evidence for a model's predictions lies in scans: by several ways, by region, and over all of them.

  model=runs/x/y      a run, its model folder, or one fold's folder
  scans='/new/*.nii'  a file, a glob, a folder (searched through), a BIDS root, or a list '[a.nii,b.nii]'
  out=explained       where to write <method>/<scan>_heatmap.nii.gz with a .json that says what it shows, group/ (mean,
                      t, family-wise p and consistency over the scans, each class apart), regions.csv, report.html
  method=smoothgrad,integrated_gradients
                      of networks integrated_gradients, smoothgrad, gradcam, hirescam, guided_backprop, occlusion,
                      region_occlusion; of linear models integrated_gradients, weights, pattern, occlusion,
                      region_occlusion (default: integrated_gradients)
  layer=blocks.2      of a network, whose map gradcam and hirescam weigh (default: the deepest one that is fine enough)
  target=patient      the class to explain (default: the predicted one of each scan)
  regions='labels/{{id}}.nii.gz'
                      an image of labels on the grid of each scan, {{id}} being the scan's name, from the scan's folder;
                      or one image for all, in the space of MNI152, for a model trained with preprocess=brain.
                      Names from a .tsv beside it, with columns index and name
  space, table, id, mask, force, trust, debug
                      as for predict

Examples:
  {program} model=runs/x/y scans='/new/*.nii.gz' method=smoothgrad,integrated_gradients
  {program} model=runs/x/y scans=/bids regions='{{id}}_dseg.nii.gz' target=patient
"""
VALIDATE = """\
External validation: how good a finished model is on labelled people whom it never saw.

  model=runs/x/y      a run, its model folder, or one fold's folder; the folds' models vote
  data=table          the people (or data=bids), with data.root, data.table, data.label ... as for training; their
                      labels must be those that the model predicts, and the model says how scans become volumes
  data.site=column    compare sites, and with data.covariates=[age,sex] parts of the cohort
  prevalence=0.1      for PPV and NPV: how frequent the second of two classes is where the model is to be used, or
                      '{{a: 0.2, b: 0.8}}' of all classes (default: as frequent as here); probabilities stay as they are
  threshold=0.3       predict the second class from this probability on, or as for predict (default: the most probable
                      class)
  allow_seen=true     predict people whose scans the model has seen in training, and leave them out of the scores;
                      otherwise they are refused by name
  out=folder          where to write predictions.csv, metrics.json and report.html; none of them may be there
                      (default: runs/<timestamp>-validation)
  trust=my_module.MyNet
                      a network of your own that the model was trained with: loading it runs its code
  debug=false         show the traceback of an error

{program} data=table --help lists every argument of the table.

Examples:
  {program} model=runs/x/y data=bids data.root=/bids data.label=sex
  {program} model=runs/x/y data=table data.root=/study data.table=subjects.csv data.site=scanner
"""
COMPARE = """\
Compare finished runs that were tested on the same sessions in the same folds: which is better, by how much, and how
certain that is.

  runs/a runs/b ...   two runs or more
  out=folder          where to write comparison.csv and report.html; neither may be there
                      (default: runs/<timestamp>-comparison)
  debug=false         show the traceback of an error

The primary p is that of the AUC (classes) or of the MAE (a measure); of three and more runs it is adjusted for the
number of pairs. Runs on the same cohort with the same evaluation and seed have the same tests, whatever their model;
evaluation.splits=runs/a of a training takes those of another run. A sweep (train -m ...) compares its runs itself.

Examples:
  {program} runs/demo-sfcn-50/2030-01-31_12-00-00 runs/demo-ridge-50/2030-01-31_12-30-00
  {program} runs/sfcn/x runs/ridge/y runs/knn/z out=comparison
"""
MAPS = """\
Pictures and maps of a cohort, without training anything.

{pca}       scree, subjects among the principal components, eigenbrains, a scan from few components
{averages}  classes: the average of each, their differences, t maps; a measure: the average, slope, t map

Whose: run=runs/x/y, or data=, data.*=, preprocess=, preprocess.*=, resolution=, task= as for training (default: the
demo); {averages} data=table --help lists every argument of a group's option.
Where: out=maps/pca
pca:   components=10 (the first ones), also=[57] (further ones), subject=ID (restored), variance=0.999 (transposed form)

Examples:
  {pca} run=runs/x/y components=20
  {averages} data=table data.root=/study data.table=subjects.csv data.label=sex resolution=100
"""


def general(command: str, invocation: str) -> str:
    """Return the help of a command.

    Args:
        command: Its name.
        invocation: How it is typed.
    """
    if command == "predict":
        return PREDICT.format(program=invocation)
    if command == "explain":
        return EXPLAIN.format(program=invocation)
    if command == "layers":
        return layers.HELP.format(program=invocation)
    if command == "trust":
        return trust.HELP.format(program=invocation)
    if command == "validate":
        return VALIDATE.format(program=invocation)
    if command == "compare":
        return COMPARE.format(program=invocation)
    if command == "train":
        installed = "".join(f"\n  installed: model.network._target_={name}" for name in installed_networks())
        return TRAIN.format(program=invocation, groups=_groups(), networks=installed)
    stem = invocation.removesuffix(command)
    return MAPS.format(pca=f"{stem}pca", averages=f"{stem}averages")


def chosen_groups(arguments: Sequence[str]) -> list[str]:
    """Return the groups that a command line chooses an option of or sets an argument of."""
    joined = without_aliases(with_values(arguments), ALIASES)
    heads = {each.lstrip("+~").partition("=")[0].partition(".")[0] for each in joined}
    return [group for group in GROUPS if group in heads]


def arguments_of(arguments: Sequence[str]) -> str:
    """List every argument of what a command line chooses: path, default, type, meaning.

    Args:
        arguments: The command line; of several values of a sweep the first counts, and all but groups is ignored.

    Raises:
        UserError: An option that does not exist.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    arguments = with_values(arguments)
    folders = [each.partition("=")[2] for each in arguments if each.startswith(("--config-dir=", "-cd="))]
    first = [elements(each)[0] if {"-m", "--multirun"} & {*arguments} else each for each in arguments]
    first = [each for each in first if chosen_groups([each])]
    ConfigStore.instance().store("schema", Schema)
    overrides = hydra_overrides(first, groups=GROUPS, keys=KEYS, aliases=ALIASES)
    if folders:
        overrides.append(f"hydra.searchpath=['file://{Path(folders[-1]).absolute()}']")
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        nodes: Any = OmegaConf.to_container(compose("train", overrides), resolve=False)
    options = {each.partition("=")[0]: each.partition("=")[2] for each in first}
    lines: list[str] = []
    for group in chosen_groups(first):
        option = options.get(group) or default_options()[group]
        lines += [*_filled(f"{group}={option}: {_when(group, option)}", indent=""), ""]
        lines += [*_call(group, nodes[group], nodes), ""]
    return "\n".join(lines)


def _groups() -> str:
    """List the groups and their options, the default first."""
    text = ""
    for group, default in default_options().items():
        names = sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
        listed = f"  {group}: {', '.join(names)}; {default} unless another is given"
        text += textwrap.fill(listed, _width(), subsequent_indent="    ") + "\n"
    return text


def _when(group: str, option: str) -> str:
    """Return the first line of an option's file: when to choose it."""
    path = conf_folder() / group / f"{option}.yaml"
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") if path.is_file() else ""


def _call(path: str, node: Mapping[str, Any], top: Mapping[str, Any], meaning: str = "") -> Iterator[str]:
    """List the arguments of a call, then those of the calls inside it.

    Args:
        path: Where the call stands.
        node: The call.
        top: The whole configuration.
        meaning: Of the argument that the call is given as.
    """
    target = str(node["_target_"])
    signature = read_signature(target)
    summary = signature.summary if signature else ""
    yield from _filled(f"{path}: {target.rpartition('.')[2]}. {summary}".rstrip(), indent="")
    yield from _filled(meaning, indent="  ")
    inner = {name: value for name, value in node.items() if isinstance(value, dict) and "_target_" in value}
    for argument in _listed(path, node, signature):
        at = f"{path}.{argument.name}"
        if at in ALIASES and isinstance(top[ALIASES[at]], dict):
            yield f"  {ALIASES[at]}.*  listed by {ALIASES[at]}={default_options()[ALIASES[at]]} --help"
        elif at in ALIASES:
            yield _line(ALIASES[at], as_typed(top[ALIASES[at]]), argument)
        elif argument.name not in inner:
            yield _line(at, as_typed(node[argument.name]) if argument.name in node else argument.default, argument)
        else:
            continue
        yield from _filled(argument.meaning, indent="      ")
    meanings = {each.name: each.meaning for each in signature.arguments} if signature else {}
    for name, value in inner.items():
        yield ""
        yield from _call(f"{path}.{name}", value, top, meanings.get(name, ""))


def _line(path: str, default: str | None, argument: Argument) -> str:
    """Write path, default and type of an argument."""
    needed = default in (None, MISSING)
    kind = f"  ({argument.kind})" if argument.kind else ""
    return f"  {path}={'...' if needed else default}{kind}{'  must be given' if needed else ''}"


def _listed(path: str, node: Mapping[str, Any], signature: Signature | None) -> list[Argument]:
    """Return the arguments of a call that are the user's to set."""
    if signature is None:  # its source is not to be found: what the configuration says of it
        return [Argument(name, None) for name in node if name not in MARKS]
    reserved = constant(RESERVED) if path == "trainer" else ()
    given = {*(PLACES[path].given if path in PLACES else ()), *(reserved if isinstance(reserved, tuple) else ())}
    return [each for each in signature.arguments if each.name not in given]


def _filled(text: str, *, indent: str) -> list[str]:
    return textwrap.wrap(text, _width(), initial_indent=indent, subsequent_indent=indent)


def _width() -> int:
    return min(120, shutil.get_terminal_size((100, 24)).columns)
