"""What `import horus` and a node that does nothing bring with them: every program pays for it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "horus.clock",
    "horus.early",
    "horus.errors",
    "horus.message",
    "horus.node",
    "horus.scheduler",
)
DEAR = {
    "argparse", "ast", "asyncio", "concurrent", "ctypes", "dataclasses", "difflib", "dis",
    "hashlib", "importlib.metadata", "inspect", "ipaddress", "json", "mmap", "msgpack",
    "multiprocessing", "numpy", "pathlib", "pickle", "pluggy", "posix_ipc", "secrets", "shutil",
    "socket", "ssl", "subprocess", "tempfile", "uuid", "yaml",
}  # fmt: skip
ONLY_ON_USE = DEAR | {"logging", "tokenize", "traceback"}
NODE = "horus.run(horus.Node('bare', tick=lambda node: node.request_stop(), rate=100), duration=5)"


def loaded(source):
    """Return what is loaded after this source, in an interpreter that has loaded nothing before."""
    lines = ["import sys", f"sys.path.insert(0, {str(ROOT)!r})", source, "print(*sys.modules)"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "\n".join(lines)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_horus_loads_nothing_dear():
    assert not loaded("import horus") & ONLY_ON_USE


def test_a_node_that_does_nothing_loads_nothing_dear():
    assert not loaded(f"import horus\n{NODE}") & DEAR


def test_of_horus_itself_only_nodes_and_the_scheduler_are_loaded():
    found = {name for name in loaded("import horus") if name.startswith("horus.")}
    assert found
    assert {name for name in found if not name.startswith(PARTS)} == set()
    assert {n for n in found if n.startswith("horus.message.")} == set()


@pytest.mark.parametrize(
    "use",
    [
        "import horus.message\nfrom horus.message import Int32, Str, spec_of",
        "import horus.msgs",
        "from horus.message import message",
        "import horus.message.declaring",
        "import horus.bus",
    ],
)
def test_the_decorator_is_found_under_its_name_whatever_is_imported_before(use):
    source = (
        f"{use}\nimport horus\n@horus.message\nclass A:\n    x: float = 0.0\n"
        "assert A(1.0).__horus_spec__.size == 8"
    )
    before = "import site; site.main()\n"  # msgpack is needed, where it is installed
    assert "horus.message.declaring" in loaded(before + source)
