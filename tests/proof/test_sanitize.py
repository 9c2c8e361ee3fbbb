"""That the sanitizers of ``python -m tests.proof sanitize`` see what they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof import sanitize

OVERFLOW = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
static PyObject *one_too_far(PyObject *self, PyObject *size) {
    (void)self;
    size_t count = PyLong_AsSize_t(size);
    char *memory = PyMem_Malloc(count);
    memory[count] = 1;
    PyMem_Free(memory);
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"one_too_far", one_too_far, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "planted", .m_methods = methods};
PyMODINIT_FUNC PyInit_planted(void) { return PyModule_Create(&module); }
"""


def _compiler(which: str) -> tuple[str, str]:
    try:
        return sanitize.compiler(which)
    except sanitize.Unavailable as why:
        pytest.skip(str(why))


def test_a_write_beyond_a_block_of_python_memory_is_found(tmp_path: Path) -> None:
    cc, library = _compiler("address")
    (tmp_path / "planted.c").write_text(OVERFLOW)
    sanitize.build(cc, tmp_path / "planted.c", tmp_path / "planted.so", "-fsanitize=address")
    options = {"ASAN_OPTIONS": "detect_leaks=0"}
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        code = "import planted; planted.one_too_far(100)"
        sanitize.run(tmp_path, library, "-c", code, **options)


def test_the_race_on_a_slot_is_seen_when_it_is_not_declared(tmp_path: Path) -> None:
    cc, library = _compiler("thread")
    race = Path(sanitize.__file__).with_name("race.c")
    # Without the macro, the core copies slots by plain memcpy, as it does when it is not sanitized.
    flags = ("-O1", "-fsanitize=thread", "-U__SANITIZE_THREAD__")
    sanitize.build(cc, race, tmp_path / "_race.so", *flags)
    with pytest.raises(AssertionError, match="data race"):
        code = "import _race; _race.race(20000, 1, 4)"
        sanitize.run(tmp_path, library, "-c", code, TSAN_OPTIONS="halt_on_error=1")


def test_the_cores_ring_functions_race_soundly_at_full_speed(tmp_path: Path) -> None:
    cc, _ = _compiler("thread")
    race = Path(sanitize.__file__).with_name("race.c")
    sanitize.build(cc, race, tmp_path / "_race.so", "-O3")
    code = "import _race; print(_race.race(100_000, 2, 8)[2:])"
    assert "(0, 0, 0, 0)" in sanitize.run(tmp_path, "", "-c", code)


def test_frames_that_are_looked_at_never_change_and_would_without_their_pins(
    tmp_path: Path,
) -> None:
    cc, _ = _compiler("thread")
    race = Path(sanitize.__file__).with_name("race.c")
    sanitize.build(cc, race, tmp_path / "_race.so", "-O3")
    code = (
        "import _race, time\nlooks, _, torn, _ = _race.frames(100_000, 4, 2, True)\n"
        "assert looks and not torn\nend = time.monotonic() + 60\n"
        "while not torn and time.monotonic() < end: torn = _race.frames(100_000, 2, 2, False)[2]\n"
        "print('torn without pins:', torn > 0)"
    )
    assert "torn without pins: True" in sanitize.run(tmp_path, "", "-c", code)
