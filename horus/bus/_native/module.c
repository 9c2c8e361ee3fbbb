/* The module horus.bus._core. Its parts are compiled as one, so that the compiler sees through them. */
#include "shared.h"

#include "declared.c"
#include "plain.c"
#include "recycle.c"
#include "reader.c"
#include "writer.c"

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

static PyMethodDef module_methods[] = {
    {"fence", core_fence, METH_NOARGS, "Order all before against all after, loads after stores too."},
    {"simulate", core_simulate, METH_O, "Take this for the time (ns) from now on; 0: the machine's clock again."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "horus.bus._core",
    .m_doc = "The native core of the topic bus.",
    .m_size = -1,
    .m_methods = module_methods,
};

PyMODINIT_FUNC PyInit__core(void) {
    if (declared_init() < 0 || PyType_Ready(&Writer_Type) < 0 || PyType_Ready(&Reader_Type) < 0)
        return NULL;
    PyObject *self = PyModule_Create(&module);
    if (!self)
        return NULL;
    Py_INCREF(&Writer_Type);
    Py_INCREF(&Reader_Type);
    if (PyModule_AddObject(self, "Writer", (PyObject *)&Writer_Type) < 0 ||
        PyModule_AddObject(self, "Reader", (PyObject *)&Reader_Type) < 0)
        return NULL;
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
        {"KIND_ARRAY", KIND_ARRAY},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (PyModule_AddIntConstant(self, numbers[i].name, numbers[i].value) < 0)
            return NULL;
    return self;
}
