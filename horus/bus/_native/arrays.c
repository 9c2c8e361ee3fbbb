/* numpy's arrays without numpy's headers: neither the build nor `import horus` needs numpy.
 *
 * Its C interface is a table that it hands out at run time, and the head of its array is part of it. Both are promised for the
 * two versions that are known here; with another one the arrays are made by Python code.
 */
#include "shared.h"

#define MOST_DIMENSIONS 32
#define MOST_FORMS 4 /* kinds of arrays that are kept in mind by each end */

typedef struct {
    PyObject_HEAD
    char *data;
    int nd;
    Py_ssize_t *dims, *strides;
    PyObject *base, *dtype;
    int flags;
} Array;

enum { C_ORDER = 0x1, ALIGNED = 0x100, WRITEABLE = 0x400 };

static PyTypeObject *array_type; /* numpy.ndarray, once numpy was there */
static PyTypeObject *dtype_type; /* numpy.dtype, likewise; each kind of dtype has a class below it */
static bool numpy_known;         /* and has a version whose interface is known */
static PyObject *(*array_of)(PyTypeObject *, PyObject *, int, const Py_ssize_t *, const Py_ssize_t *, void *, int, PyObject *);
static int (*array_base)(PyObject *, PyObject *);

/* Use numpy's interface if this process has imported numpy; never an error. */
static void find_numpy(void) {
    static const char *const cores[] = {"numpy._core._multiarray_umath", "numpy.core._multiarray_umath"};
    PyObject *core = NULL, *table = NULL, *type = NULL, *dtype = NULL;
    for (size_t i = 0; !core && i < sizeof cores / sizeof *cores; i++) {
        PyObject *name = PyUnicode_FromString(cores[i]);
        core = name ? PyImport_GetModule(name) : NULL;
        Py_XDECREF(name);
        PyErr_Clear();
    }
    if (core) {
        type = PyObject_GetAttrString(core, "ndarray");
        dtype = PyObject_GetAttrString(core, "dtype");
        table = PyObject_GetAttrString(core, "_ARRAY_API");
    }
    if (type && PyType_Check(type))
        array_type = (PyTypeObject *)Py_NewRef(type); /* as long as the process runs */
    if (dtype && PyType_Check(dtype))
        dtype_type = (PyTypeObject *)Py_NewRef(dtype);
    void **api = table ? PyCapsule_GetPointer(table, NULL) : NULL;
    if (api && array_type) {
        unsigned int version = ((unsigned int (*)(void))api[0])();
        numpy_known = version == 0x01000009 || version == 0x02000000;
    }
    if (numpy_known) {
        array_of = (PyObject * (*)(PyTypeObject *, PyObject *, int, const Py_ssize_t *, const Py_ssize_t *, void *, int,
                                   PyObject *)) api[94];
        array_base = (int (*)(PyObject *, PyObject *))api[282];
    }
    PyErr_Clear();
    Py_XDECREF(core);
    Py_XDECREF(table);
    Py_XDECREF(type);
    Py_XDECREF(dtype);
}

/* Call a function of codec.py. */
static PyObject *call_codec(const char *name, const char *format, ...) {
    PyObject *codec = PyImport_ImportModule("horus.bus.codec");
    PyObject *function = codec ? PyObject_GetAttrString(codec, name) : NULL;
    PyObject *result = NULL, *arguments = NULL;
    if (function) {
        va_list values;
        va_start(values, format);
        arguments = Py_VaBuildValue(format, values);
        va_end(values);
    }
    if (arguments)
        result = PyObject_CallObject(function, arguments);
    Py_XDECREF(codec);
    Py_XDECREF(function);
    Py_XDECREF(arguments);
    return result;
}

/* What kind an array is: its shape, its dtype, and how both are written. */
typedef struct {
    PyObject_HEAD
    PyObject *shape, *dtype, *head;
    uint64_t size; /* bytes */
    int nd;
    Py_ssize_t dims[MOST_DIMENSIONS];
} Form;

static void Form_dealloc(Form *self) {
    Py_XDECREF(self->shape);
    Py_XDECREF(self->dtype);
    Py_XDECREF(self->head);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Form_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Form",
    .tp_basicsize = sizeof(Form),
    .tp_dealloc = (destructor)Form_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Shape and dtype of arrays.",
};

/* Make one of a tuple, a dtype and bytes; NULL without an error if it is none that is handled here. */
static Form *new_form(PyObject *shape, PyObject *dtype, PyObject *head) {
    if (!PyTuple_Check(shape) || !PyBytes_Check(head) || PyTuple_GET_SIZE(shape) > MOST_DIMENSIONS)
        return NULL;
    PyObject *width = PyObject_GetAttrString(dtype, "itemsize");
    Py_ssize_t size = width ? PyLong_AsSsize_t(width) : -1;
    Py_XDECREF(width);
    Form *self = size > 0 ? PyObject_New(Form, &Form_Type) : NULL;
    if (!self) {
        PyErr_Clear();
        return NULL;
    }
    self->shape = Py_NewRef(shape);
    self->dtype = Py_NewRef(dtype);
    self->head = Py_NewRef(head);
    self->nd = (int)PyTuple_GET_SIZE(shape);
    for (int i = 0; i < self->nd; i++) {
        Py_ssize_t dim = self->dims[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        if (dim < 0 || dim > (Py_ssize_t)1 << 48 || __builtin_mul_overflow(size, dim, &size)) {
            PyErr_Clear();
            Py_DECREF(self);
            return NULL;
        }
    }
    self->size = (uint64_t)size;
    return self;
}

typedef struct {
    Form *forms[MOST_FORMS];
    uint32_t at;
} Forms;

/* Keep a form, whose reference is used up, in the place of the oldest. */
static Form *keep_form(Forms *kept, Form *form) {
    if (form) {
        Py_XSETREF(kept->forms[kept->at], form);
        kept->at = (kept->at + 1) % MOST_FORMS;
    }
    return form;
}

static void forget_forms(Forms *kept) {
    for (int i = 0; i < MOST_FORMS; i++)
        Py_CLEAR(kept->forms[i]);
}

/* Return the form (borrowed) that a head describes; NULL, without an error, if it is for Python to judge. */
static Form *form_of_head(Forms *kept, const char *head, size_t length) {
    for (int i = 0; i < MOST_FORMS; i++) {
        Form *form = kept->forms[i];
        if (form && (size_t)PyBytes_GET_SIZE(form->head) == length && !memcmp(PyBytes_AS_STRING(form->head), head, length))
            return form;
    }
    PyObject *written = PyBytes_FromStringAndSize(head, (Py_ssize_t)length);
    PyObject *found = written ? call_codec("frame_head", "(O)", written) : NULL;
    Form *form = NULL;
    if (found && PyTuple_Check(found) && PyTuple_GET_SIZE(found) == 3)
        form = new_form(PyTuple_GET_ITEM(found, 0), PyTuple_GET_ITEM(found, 1), written);
    PyErr_Clear();
    Py_XDECREF(found);
    Py_XDECREF(written);
    return keep_form(kept, form);
}

/* Return the form (borrowed) of an array; NULL, without an error, if it is for Python to judge. */
static Form *form_of_array(Forms *kept, const Array *array) {
    for (int i = 0; i < MOST_FORMS; i++) {
        Form *form = kept->forms[i];
        if (form && form->dtype == array->dtype && form->nd == array->nd &&
            !memcmp(form->dims, array->dims, (size_t)array->nd * sizeof *form->dims))
            return form;
    }
    PyObject *shape = PyObject_GetAttrString((PyObject *)array, "shape");
    PyObject *head = shape ? call_codec("array_head", "(OO)", shape, array->dtype) : NULL;
    Form *form = head ? new_form(shape, array->dtype, head) : NULL;
    PyErr_Clear();
    Py_XDECREF(shape);
    Py_XDECREF(head);
    return keep_form(kept, form);
}

/* Whether its elements are numbers, as those of declared messages are. */
static bool is_numeric(const Form *form) {
    char kind = PyBytes_AS_STRING(form->head)[8 + 8 * form->nd + 1];
    return kind && strchr("biufc", kind);
}

/* Return an array on memory that `base`, whose reference is used up, keeps; numpy_known must be true. */
static PyObject *array_on(const Form *form, char *data, PyObject *base, bool writeable) {
    Py_INCREF(form->dtype);
    PyObject *array = array_of(array_type, form->dtype, form->nd, form->dims, NULL, data,
                               C_ORDER | ALIGNED | (writeable ? WRITEABLE : 0), NULL);
    if (!array) {
        Py_DECREF(base);
        return NULL;
    }
    if (array_base(array, base) < 0) /* which uses the reference up in any case */
        Py_CLEAR(array);
    return array;
}

/* Return a read-only array with a copy of its elements. */
static PyObject *array_with(const Form *form, const char *data) {
    Py_INCREF(form->dtype);
    PyObject *array = array_of(array_type, form->dtype, form->nd, form->dims, NULL, NULL, 0, NULL);
    if (array) {
        memcpy(((Array *)array)->data, data, form->size);
        ((Array *)array)->flags &= ~WRITEABLE;
    }
    return array;
}

/* Forbid writing into an array; false on error. */
static bool freeze(PyObject *array) {
    if (numpy_known) {
        ((Array *)array)->flags &= ~WRITEABLE;
        return true;
    }
    PyObject *flags = PyObject_GetAttrString(array, "flags");
    bool done = flags && PyObject_SetAttrString(flags, "writeable", Py_False) == 0;
    Py_XDECREF(flags);
    return done;
}

/* Where a frame lies, as a message tells it. */
typedef struct {
    uint64_t publisher, serial;
    uint32_t part, slot;
    uint64_t length;
    uint32_t head, rest;
} Ref;

#define REF_SIZE 40
_Static_assert(sizeof(Ref) == REF_SIZE, "a reference lies in messages as it is");
