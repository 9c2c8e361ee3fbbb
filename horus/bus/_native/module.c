/* The module horus.bus._core. Its parts are compiled as one, so that the compiler sees through them. */
#include "shared.h"

#include "declared.c"
#include "plain.c"
#include "recycle.c"
#include "arrays.c"
#include "looks.c"
#include "reader.c"
#include "slots.c"
#include "writer.c"
#include "loans.c"

#include <pthread.h>

static PyObject *core_simulate(PyObject *Py_UNUSED(self), PyObject *given) {
    uint64_t now = PyLong_AsUnsignedLongLong(given);
    if (now == (uint64_t)-1 && PyErr_Occurred())
        return NULL;
    simulated_ns = now;
    Py_RETURN_NONE;
}

static PyObject *core_fence(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    atomic_thread_fence(memory_order_seq_cst);
    Py_RETURN_NONE;
}

static PyObject *core_use_numpy(PyObject *Py_UNUSED(self), PyObject *given) {
    numpy_known = given == Py_True && array_of;
    return PyBool_FromLong(numpy_known);
}

static PyMethodDef module_methods[] = {
    {"use_numpy", core_use_numpy, METH_O, "Whether arrays are made by numpy's C interface, as far as it is known; or by Python code."},
    {"fence", core_fence, METH_NOARGS, "Order all before against all after, loads after stores too."},
    {"simulate", core_simulate, METH_O, "Take this for the time (ns) from now on; 0: the machine's clock again."},
    {NULL, NULL, 0, NULL},
};

#ifdef Py_GIL_DISABLED
#error "the native core relies on the GIL: free-threaded CPython is not supported"
#endif

/* Types, known keys and layouts are shared by the whole process, so one interpreter only may have them. */
static int module_exec(PyObject *self) {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "horus.bus._core serves the main interpreter only, not subinterpreters");
        return -1;
    }
    static bool watched;
    if (!watched && pthread_atfork(NULL, NULL, count_fork)) {
        PyErr_NoMemory();
        return -1;
    }
    watched = true;
    static PyTypeObject *const inner[] = {&Form_Type, &Mapped_Type, &Pin_Type, &Loan_Type};
    static PyTypeObject *const shown[] = {&Writer_Type, &Reader_Type, &Slots_Type, &Looks_Type, &Lender_Type};
    if (declared_init() < 0 || loans_init() < 0)
        return -1;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        if (PyType_Ready(inner[i]) < 0)
            return -1;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (PyModule_AddType(self, shown[i]) < 0)
            return -1;
    static const struct {
        const char *name;
        long value;
    } numbers[] = {
        {"CONTROL_SIZE", CONTROL_SIZE},     {"CONTROL_GENERATION", CONTROL_GENERATION},
        {"CONTROL_DEPTH", CONTROL_DEPTH},   {"CONTROL_READERS", CONTROL_READERS},
        {"CONTROL_WAITING", CONTROL_WAITING}, {"MAX_READERS", MAX_READERS},
        {"RING_BASE", RING_BASE},           {"RING_NEXT", RING_NEXT},
        {"RING_CLOSED", RING_CLOSED},       {"RING_HEADER", RING_HEADER},
        {"SLOT_SEQUENCE", SLOT_SEQUENCE},   {"SLOT_STAMP", SLOT_STAMP},
        {"SLOT_HASH", SLOT_HASH},           {"SLOT_LENGTH", SLOT_LENGTH},
        {"SLOT_KIND", SLOT_KIND},           {"SLOT_HEADER", SLOT_HEADER},
        {"KIND_STRUCT", KIND_STRUCT},       {"KIND_MSGPACK", KIND_MSGPACK},
        {"KIND_ARRAY", KIND_ARRAY},         {"KIND_FRAME", KIND_FRAME},
        {"CONTROL_UNLISTED", CONTROL_UNLISTED}, {"CONTROL_ENTRIES", CONTROL_ENTRIES},
        {"ENTRY_SIZE", ENTRY_SIZE},         {"FRAMES_TAKEN", FRAMES_TAKEN},
        {"FRAMES_BLOCKS", FRAMES_BLOCKS},   {"FRAMES_BLOCK", FRAMES_BLOCK},
        {"BLOCK_PINS", BLOCK_PINS},         {"MAX_FRAMES", MAX_FRAMES},
        {"MAX_MESSAGE", MAX_MESSAGE},       {"FRAME_LEAST", FRAME_LEAST},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (PyModule_AddIntConstant(self, numbers[i].name, numbers[i].value) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "horus.bus._core",
    .m_doc = "The native core of the topic bus.",
    .m_size = 0,
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&module);
}
