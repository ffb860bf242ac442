"""Lazy loading of modules that libraries import but a clip rarely calls."""

import hashlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from kinema.core import deferred_imports as deferred


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a deferred module, on the path; both are removed afterwards."""
    folder = tmp_path / "slow_library"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "heavy.py").write_text(
        textwrap.dedent("""
            RUNS = globals().get("RUNS", 0) + 1
            MARKED = []
            VALUE = 7
            def solve(x): return x + VALUE
            def mark(function): MARKED.append(function); return function
            def wrap(function, reason=""): return lambda *a: ("wrapped", reason, function(*a))
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(deferred.AT_IMPORT, "slow_library.heavy", {"solve": "call", "mark": "mark", "wrap": "wrap"})
    yield folder
    for name in ("slow_library", "slow_library.heavy"):
        sys.modules.pop(name, None)


def test_a_module_runs_at_its_first_attribute_in_place(package):
    with deferred.deferred_imports():
        import slow_library.heavy as heavy
    assert deferred.is_deferred("slow_library.heavy")
    assert "VALUE" not in vars(heavy)
    assert heavy.VALUE == 7 and heavy.RUNS == 1
    assert not deferred.is_deferred("slow_library.heavy")
    assert sys.modules["slow_library.heavy"] is heavy and type(heavy) is type(sys)
    assert "_deferred" not in vars(heavy)


def test_names_taken_at_import_do_their_work_later(package):
    with deferred.deferred_imports():
        from slow_library.heavy import mark, solve, wrap

    @mark
    def kept(x):
        return x

    @wrap(reason="because")
    def plain(x):
        return x

    assert deferred.is_deferred("slow_library.heavy")
    assert plain(1) == 1  # no module is loaded that could need the wrapper
    assert deferred.is_deferred("slow_library.heavy")
    assert solve(1) == 8
    import slow_library.heavy as heavy

    assert list(heavy.MARKED) == [kept]
    assert plain(1) == ("wrapped", "because", 1)
    assert mark(plain) is plain and len(heavy.MARKED) == 2


@pytest.mark.parametrize("inside", [True, False])
def test_a_part_of_a_deferred_package_loads_the_package_first(package, inside, monkeypatch):
    """The package imports its part and the part asks for the package's names, as torch._dynamo does."""
    deep = package / "deep"
    deep.mkdir()
    (deep / "__init__.py").write_text("FIRST = 1\nfrom . import part\nLAST = 2\n")
    (deep / "part.py").write_text(
        "import slow_library.deep\nSEEN = slow_library.deep.FIRST\nRUNS = globals().get('RUNS', 0) + 1\n"
    )
    (deep / "later.py").write_text("GIVEN = 5\n")
    monkeypatch.setitem(deferred.AT_IMPORT, "slow_library.deep", {})
    monkeypatch.setitem(deferred.AT_IMPORT, "slow_library.deep.later", {})
    with deferred.deferred_imports():
        import slow_library.deep
        import slow_library.deep.later as later

        assert deferred.is_deferred("slow_library.deep") and deferred.is_deferred("slow_library.deep.later")
        if inside:
            importlib.import_module("slow_library.deep.part")
    part = importlib.import_module("slow_library.deep.part")
    assert part.SEEN == 1 and part.RUNS == 1 and part is slow_library.deep.part
    assert part.__spec__.loader.__class__.__name__ == "SourceFileLoader"
    assert slow_library.deep.LAST == 2 and deferred.is_deferred("slow_library.deep.later")
    assert later.GIVEN == 5
    for name in [name for name in sys.modules if name.startswith("slow_library.deep")]:
        sys.modules.pop(name)


def test_a_class_is_wrapped_by_the_module_itself(package):
    with deferred.deferred_imports():
        from slow_library.heavy import wrap
    assert wrap(int)("3") == ("wrapped", "", 3)
    assert not deferred.is_deferred("slow_library.heavy")


def test_outside_the_block_and_by_wish_imports_are_as_always(package, monkeypatch):
    monkeypatch.setenv(deferred.EAGER, "1")
    with deferred.deferred_imports():
        importlib.import_module("slow_library.heavy")
    assert not deferred.is_deferred("slow_library.heavy")
    monkeypatch.delenv(deferred.EAGER)
    for name in ("slow_library", "slow_library.heavy"):
        sys.modules.pop(name)
    with deferred.deferred_imports(), deferred.deferred_imports():
        pass
    importlib.import_module("slow_library.heavy")
    assert not deferred.is_deferred("slow_library.heavy")
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == deferred.__name__]


def test_a_module_that_fails_is_tried_again(package):
    (package / "heavy.py").write_text("raise OSError('no library')")
    with deferred.deferred_imports():
        import slow_library.heavy as heavy
    with pytest.raises(OSError, match="no library"):
        _ = heavy.VALUE
    (package / "heavy.py").write_text("VALUE = 70")
    importlib.invalidate_caches()
    assert importlib.import_module("slow_library.heavy").VALUE == 70


def test_every_deferred_module_is_asked_by_one_thread_only(package):
    with deferred.deferred_imports():
        import slow_library.heavy as heavy
    found = []
    threads = [threading.Thread(target=lambda: found.append(heavy.RUNS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8


CLIP = """
import hashlib, json, sys
import kinema
from kinema.core.deferred_imports import AT_IMPORT, is_deferred
engine = kinema.load("kinema-mini-wan", progress=False)
frames = engine.generate("a red ball", seed=1, frames=5, steps=2, progress=False).frames()
left = sorted(name for name in AT_IMPORT if is_deferred(name))
import torch
compiled = torch.compile(lambda x: torch.nn.functional.silu(x) * 2, backend="eager")
same = bool(torch.equal(compiled(torch.ones(3)), torch.nn.functional.silu(torch.ones(3)) * 2))
from scipy import stats, optimize
print(json.dumps({"frames": hashlib.sha256(frames.tobytes()).hexdigest(), "left": left, "compiles": same,
                  "beta": round(float(stats.beta.ppf(0.5, 2, 3)), 6),
                  "pairs": [int(i) for i in optimize.linear_sum_assignment([[1, 0], [0, 1]])[1]]}))
"""


def test_a_clip_is_the_same_and_leaves_them_unloaded(mini):
    """The real libraries: a clip needs none of the modules, its frames are those of a process that has loaded them all,
    and torch.compile and SciPy still work afterwards."""
    importlib.import_module("torch._dynamo")
    importlib.import_module("scipy.stats")
    torch = importlib.import_module("torch")
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", CLIP], capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    expected = {"torch._dynamo", "scipy.optimize", "scipy.stats", "bitsandbytes"}
    assert expected - set(found["left"]) <= {name for name in expected if not importlib.util.find_spec(name)}
    frames = mini.generate("a red ball", seed=1, frames=5, steps=2, progress=False).frames()
    assert found["frames"] == hashlib.sha256(frames.tobytes()).hexdigest()
    assert found["compiles"] and found["beta"] == 0.385728 and found["pairs"] == [1, 0]
