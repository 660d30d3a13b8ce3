"""What the audit remembers is of the reader and of the check as they are now."""

import importlib
from pathlib import Path

from mri3d.cohort import audit as audit_module
from mri3d.cohort import audit_memory
from mri3d.volumes.recipe import Recipe


def test_nothing_is_remembered_past_a_change_of_anything_beside_the_check(tmp_path, monkeypatch):
    room = tmp_path / "room_of_a_check"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "check.py").write_text("class Check:\n    def digest(self):\n        return 'set'\n")
    (room / "limits.py").write_text("LARGEST = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    check = importlib.import_module("room_of_a_check.check").Check()
    keys = [audit_module._key(check)]
    for name, source in (("limits.py", "LARGEST = 4\n"), ("new.py", "LEAST = 1\n")):
        (room / name).write_text(source)
        keys.append(audit_module._key(check))
    assert len(set(keys)) == 3
    assert audit_module._key(check) == keys[-1]


def test_the_rooms_of_recipe_and_reader_hold_all_that_the_recipe_is_made_of(monkeypatch):
    hashed, read = set(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: hashed.add(path.name) or read(path))
    assert len({audit_module._key(Recipe()), audit_module._key(Recipe(20)), audit_memory.reader_digest()}) == 3
    assert {"recipe.py", "placement.py", "checks.py", "resample.py"} <= hashed
    assert {"head.py", "intensities.py", "label_map.py", "scan.py", "sampled_head.py"} <= hashed
