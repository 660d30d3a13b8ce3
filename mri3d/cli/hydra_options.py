"""Options of Hydra's own, such as `--cfg job`: those that begin with a dash."""

from collections.abc import Mapping, Sequence

from mri3d.errors import UserError, did_you_mean

COMPLETION = frozenset({"--shell-completion", "-sc"})
"""Options with which all others mean something else."""

_FLAGS = ("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", *COMPLETION)
_CFG, _ANY = ("job", "hydra", "all"), ()
_VALUED: Mapping[str, Sequence[str]] = {
    **{"--cfg": _CFG, "-c": _CFG},
    **{"--package": _ANY, "-p": _ANY, "--config-dir": _ANY, "-cd": _ANY},
    **{"--config-path": _ANY, "-cp": _ANY, "--config-name": _ANY, "-cn": _ANY},
}
"""Each with the values that it takes, where not any is."""

_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""Values of `--info`, which may go without one."""


def with_values(arguments: Sequence[str]) -> list[str]:
    """Join options of Hydra's with their values, which may stand after a blank; nothing else is one's.

    Args:
        arguments: The command line.

    Raises:
        UserError: An option that does not exist, or its value is missing or none of its own.

    >>> with_values(["--cfg", "job", "-m", "seed=1", "--info", "seed=2"])
    ['--cfg=job', '-m', 'seed=1', '--info=all', 'seed=2']
    """
    joined, rest = [], list(arguments)
    while rest:
        name, equals, value = rest[0].partition("=")
        rest = rest[1:]
        if not name.startswith("-") or name in _FLAGS:
            joined.append(name + equals + value)
        elif name in ("--info", "-i"):
            if not equals:
                value, rest = (rest[0], rest[1:]) if rest and rest[0] in _INFO else (_INFO[0], rest)
            joined.append(_checked(name, value, _INFO))
        elif name in _VALUED:
            if not equals and rest and not rest[0].startswith("-"):
                value, rest = rest[0], rest[1:]
            joined.append(_checked(name, value, _VALUED[name]))
        else:
            known = [each for each in (*_FLAGS, *_VALUED, "--info") if each.startswith("--")]
            raise UserError(
                f"there is no option {name}.{did_you_mean(name, known)} An option of mri3d is key=value, see --help; "
                f"those of Hydra are {', '.join(known)}."
            )
    return joined


def _checked(name: str, value: str, values: Sequence[str]) -> str:
    """Join an option and its value."""
    if values and value not in values:
        told = f"{name}={value} is not one of {', '.join(values)}." if value else f"{name} has no value."
        raise UserError(f"{told} Give {' or '.join(f'{name} {each}' for each in values)}.")
    if not value:
        raise UserError(f"{name} has no value. Give it after a blank: {name} ...")
    return f"{name}={value}"
