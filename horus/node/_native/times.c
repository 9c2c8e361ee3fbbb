/* horus.node._times: the histograms of horus.node.times.TickTimes, for a loop that has no time to
   lose. Its twin in Python is there; the numbers of both are the same. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { TICK, LATENESS, JITTER, KINDS };
/* Values below FINE have a bucket each; above, FINE buckets share a power of two, up to 2**TOP ns. */
enum { FINE_BITS = 4, FINE = 1 << FINE_BITS, TOP = 36, BUCKETS = (TOP - FINE_BITS + 1) * FINE };

typedef struct {
    PyObject_HEAD
    int64_t last_late; /* -1: none that the next one can be compared with */
    uint64_t largest[KINDS];
    uint64_t total[KINDS];
    uint64_t counts[KINDS][BUCKETS];
} TickTimes;

static unsigned bucket_of(uint64_t ns) {
    if (ns < FINE)
        return (unsigned)ns;
    unsigned octave = 63u - (unsigned)__builtin_clzll(ns);
    if (octave >= TOP)
        return BUCKETS - 1;
    unsigned shift = octave - FINE_BITS;
    return ((shift + 1) << FINE_BITS) + ((unsigned)(ns >> shift) & (FINE - 1));
}

static void add(TickTimes *self, int kind, uint64_t ns) {
    self->counts[kind][bucket_of(ns)]++;
    self->total[kind]++;
    if (ns > self->largest[kind])
        self->largest[kind] = ns;
}

static PyObject *times_record(TickTimes *self, PyObject *const *given, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "record(late, duration) takes two numbers of ns");
        return NULL;
    }
    int64_t late = PyLong_AsLongLong(given[0]), duration = PyLong_AsLongLong(given[1]);
    if ((late == -1 || duration == -1) && PyErr_Occurred())
        return NULL;
    add(self, TICK, duration < 0 ? 0 : (uint64_t)duration);
    if (late >= 0) {
        add(self, LATENESS, (uint64_t)late);
        if (self->last_late >= 0)
            add(self, JITTER, (uint64_t)(late > self->last_late ? late - self->last_late : self->last_late - late));
    }
    self->last_late = late < 0 ? -1 : late;
    Py_RETURN_NONE;
}

static int kind_of(PyObject *given) {
    long kind = PyLong_AsLong(given);
    if (kind >= 0 && kind < KINDS)
        return (int)kind;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_IndexError, "no such kind of time");
    return -1;
}

static PyObject *times_counts(TickTimes *self, PyObject *given) {
    int kind = kind_of(given);
    if (kind < 0)
        return NULL;
    PyObject *found = PyDict_New();
    for (Py_ssize_t i = 0; found && i < BUCKETS; i++) {
        if (!self->counts[kind][i])
            continue;
        PyObject *bucket = PyLong_FromSsize_t(i), *number = PyLong_FromUnsignedLongLong(self->counts[kind][i]);
        int failed = !bucket || !number || PyDict_SetItem(found, bucket, number) < 0;
        Py_XDECREF(bucket);
        Py_XDECREF(number);
        if (failed)
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *times_largest(TickTimes *self, PyObject *given) {
    int kind = kind_of(given);
    return kind < 0 ? NULL : PyLong_FromUnsignedLongLong(self->largest[kind]);
}

static int times_init(TickTimes *self, PyObject *args, PyObject *names) {
    if (PyTuple_GET_SIZE(args) || (names && PyDict_GET_SIZE(names))) {
        PyErr_SetString(PyExc_TypeError, "TickTimes() takes no arguments");
        return -1;
    }
    self->last_late = -1;
    return 0;
}

static PyMethodDef times_methods[] = {
    {"record", (PyCFunction)(void (*)(void))times_record, METH_FASTCALL,
     "Count a tick: how late (ns) it began, -1 if it was due at no time, and how long (ns) it took."},
    {"counts", (PyCFunction)times_counts, METH_O, "Return how many values of a kind each bucket has."},
    {"largest", (PyCFunction)times_largest, METH_O, "Return the largest value (ns) of a kind."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject TickTimes_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "horus.node._times.TickTimes",
    .tp_basicsize = sizeof(TickTimes),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Histograms of one node's ticks.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)times_init,
    .tp_methods = times_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "horus.node._times",
    .m_doc = "Histograms of ticks, in C.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__times(void) {
    if (PyType_Ready(&TickTimes_Type) < 0)
        return NULL;
    PyObject *self = PyModule_Create(&module);
    if (!self)
        return NULL;
    Py_INCREF(&TickTimes_Type);
    if (PyModule_AddObject(self, "TickTimes", (PyObject *)&TickTimes_Type) < 0)
        return NULL;
    return self;
}
