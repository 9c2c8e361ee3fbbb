/* Declared messages: fields go straight between an instance's slots and a slot of the ring. */
#include "shared.h"

#include <math.h>

typedef enum { SCALAR, STRING, ARRAY } FieldKind;

struct Field {
    FieldKind kind;
    char code; /* 'd' 'f' '?', or 'i' / 'u' with a width */
    uint8_t width;
    uint32_t offset, count;
    Py_ssize_t place; /* of the member in the instance */
};

static PyObject *layouts;  /* class -> Layout, for as long as the process runs */
static PyObject *s_spec;

static void Layout_dealloc(Layout *self) {
    Py_XDECREF(self->spec);
    Py_XDECREF(self->cls);
    PyMem_Free(self->fields);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Layout_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Layout",
    .tp_basicsize = sizeof(Layout),
    .tp_dealloc = (destructor)Layout_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Where the fields of a message class lie, in its instances and on the bus.",
};

static int long_attribute(PyObject *object, const char *name, unsigned long long *value) {
    PyObject *found = PyObject_GetAttrString(object, name);
    if (!found)
        return -1;
    *value = PyLong_AsUnsignedLongLongMask(found);
    Py_DECREF(found);
    return PyErr_Occurred() ? -1 : 0;
}

static int text_attribute(PyObject *object, const char *name, char *text, size_t size) {
    PyObject *found = PyObject_GetAttrString(object, name);
    const char *utf8 = found ? PyUnicode_AsUTF8(found) : NULL;
    if (utf8)
        snprintf(text, size, "%s", utf8);
    Py_XDECREF(found);
    return utf8 ? 0 : -1;
}

/* Return where an instance of a class has the member of this name; 0: nowhere, without an error. */
static Py_ssize_t place_of(PyTypeObject *cls, PyObject *name) {
    PyObject *member = PyObject_GetAttr((PyObject *)cls, name);
    Py_ssize_t place = 0;
    if (!member) {
        PyErr_Clear();
        return 0;
    }
    if (Py_TYPE(member) == &PyMemberDescr_Type) {
        PyMemberDef *definition = ((PyMemberDescrObject *)member)->d_member;
        if (definition->type == T_OBJECT_EX && PyType_IsSubtype(cls, PyDescr_TYPE(member)))
            place = definition->offset;
    }
    Py_DECREF(member);
    return place;
}

/* Read one FieldSpec; 1 when it is one that this core handles, 0 when not, -1 on error. */
static int read_field(PyObject *item, PyTypeObject *cls, Field *field) {
    char kind[16], code[8];
    unsigned long long offset, count;
    if (text_attribute(item, "kind", kind, sizeof kind) || text_attribute(item, "code", code, sizeof code) ||
        long_attribute(item, "offset", &offset) || long_attribute(item, "count", &count))
        return -1;
    field->offset = (uint32_t)offset;
    field->count = (uint32_t)count;
    field->code = code[0];
    field->width = code[1] ? (uint8_t)(code[1] - '0') : 1;
    if (code[0] == 'f')
        field->code = field->width == 8 ? 'd' : 'f';
    if (!strcmp(kind, "scalar"))
        field->kind = SCALAR;
    else if (!strcmp(kind, "str"))
        field->kind = STRING;
    else if (!strcmp(kind, "array"))
        field->kind = ARRAY;
    else
        return 0;

    PyObject *name = PyObject_GetAttrString(item, "name");
    if (!name)
        return -1;
    field->place = place_of(cls, name);
    Py_DECREF(name);
    return field->place != 0;
}

static Layout *new_layout(PyObject *spec) {
    PyObject *cls = PyObject_GetAttrString(spec, "cls");
    PyObject *fields = PyObject_GetAttrString(spec, "fields");
    Layout *self = NULL;
    unsigned long long hash, size;
    if (!cls || !fields || !PyType_Check(cls) || !PyTuple_Check(fields)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "not a MessageSpec");
        goto done;
    }
    if (long_attribute(spec, "hash", &hash) || long_attribute(spec, "size", &size))
        goto done;
    PyObject *frame = PyObject_GetAttrString(spec, "frame");
    if (!frame)
        goto done;
    bool framed = frame != Py_None;
    Py_ssize_t frame_place = framed ? place_of((PyTypeObject *)cls, frame) : 0;
    Py_DECREF(frame);
    self = PyObject_New(Layout, &Layout_Type);
    if (!self)
        goto done;
    Py_INCREF(spec);
    self->spec = spec;
    Py_INCREF(cls);
    self->cls = (PyTypeObject *)cls;
    self->hash = hash;
    self->size = (uint32_t)size;
    self->framed = framed;
    self->direct = ((PyTypeObject *)cls)->tp_itemsize == 0;
    self->count = PyTuple_GET_SIZE(fields);
    self->fields = PyMem_Calloc((size_t)self->count + 1, sizeof(Field));
    if (!self->fields) {
        PyErr_NoMemory();
        Py_CLEAR(self);
        goto done;
    }
    uint64_t covered = 0;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Field *field = &self->fields[i];
        int known = read_field(PyTuple_GET_ITEM(fields, i), self->cls, field);
        if (known < 0) {
            Py_CLEAR(self);
            goto done;
        }
        uint64_t bytes = (uint64_t)field->count * (field->kind == STRING ? 1 : field->width);
        if (!known || field->offset + bytes > size)
            self->direct = false;
        covered += bytes;
    }
    self->gaps = covered != size;
    self->frame_place = self->direct ? frame_place : 0;
    self->direct = self->direct && !framed;
    self->only_fields = self->direct && self->cls->tp_dictoffset == 0 && self->cls->tp_weaklistoffset == 0 &&
                        self->cls->tp_basicsize == (Py_ssize_t)(sizeof(PyObject) + (size_t)self->count * sizeof(PyObject *));
done:
    Py_XDECREF(cls);
    Py_XDECREF(fields);
    return self;
}

/* Return the layout of a message class (borrowed), or NULL: without an error if it is not one. */
static Layout *layout_of(PyTypeObject *cls) {
    PyObject *found = PyDict_GetItemWithError(layouts, (PyObject *)cls);
    if (found || PyErr_Occurred())
        return (Layout *)found;
    PyObject *spec = PyObject_GetAttr((PyObject *)cls, s_spec);
    if (!spec) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Clear();
        return NULL;
    }
    Layout *layout = NULL;
    PyObject *of = PyObject_GetAttrString(spec, "cls");
    if (of == (PyObject *)cls && (layout = new_layout(spec))) {
        if (PyDict_SetItem(layouts, (PyObject *)cls, (PyObject *)layout) < 0)
            Py_CLEAR(layout);
        else
            Py_DECREF(layout); /* the dict keeps it */
    } else if (!of) {
        PyErr_Clear();
    }
    Py_XDECREF(of);
    Py_DECREF(spec);
    return layout;
}

/* The declared types that came by last on a topic on which none is fixed. */
#define MOST_LAYOUTS 4

typedef struct {
    Layout *known[MOST_LAYOUTS];
    uint32_t at;
} Layouts;

/* Return one of them (borrowed), or NULL. */
static inline Layout *layout_with_class(const Layouts *last, const PyTypeObject *cls) {
    for (int i = 0; i < MOST_LAYOUTS && last->known[i]; i++)
        if (last->known[i]->cls == cls)
            return last->known[i];
    return NULL;
}

static inline Layout *layout_with_hash(const Layouts *last, uint64_t hash) {
    for (int i = 0; i < MOST_LAYOUTS && last->known[i]; i++)
        if (last->known[i]->hash == hash)
            return last->known[i];
    return NULL;
}

/* Keep one in the place of another with its hash, or else of the oldest. */
static void keep_layout(Layouts *last, Layout *layout) {
    uint32_t at = 0;
    while (at < MOST_LAYOUTS && last->known[at] && last->known[at]->hash != layout->hash)
        at++;
    if (at == MOST_LAYOUTS)
        at = last->at++ % MOST_LAYOUTS;
    Py_INCREF(layout);
    Py_XSETREF(last->known[at], layout);
}

static void forget_layouts(Layouts *last) {
    for (int i = MOST_LAYOUTS - 1; i >= 0; i--)
        Py_CLEAR(last->known[i]);
}

/* Put one value at `to`; false when it is not of the plain type, which the slow way then judges. */
static inline bool put(char code, uint8_t width, PyObject *value, char *to) {
    if (code == 'd' || code == 'f') {
        double number;
        if (PyFloat_Check(value)) { /* np.float64 is one */
            number = PyFloat_AS_DOUBLE(value);
        } else if (PyLong_CheckExact(value)) {
            number = PyLong_AsDouble(value);
            if (number == -1.0 && PyErr_Occurred()) {
                PyErr_Clear();
                return false;
            }
        } else {
            return false;
        }
        if (code == 'd') {
            memcpy(to, &number, 8);
            return true;
        }
        float narrow = (float)number;
        if (isinf(narrow) && !isinf(number))
            return false;
        memcpy(to, &narrow, 4);
        return true;
    }
    if (code == '?') {
        if (value != Py_True && value != Py_False)
            return false;
        *to = value == Py_True;
        return true;
    }
    if (!PyLong_Check(value)) /* an IntEnum is one */
        return false;
    if (code == 'u' && width == 8) {
        unsigned long long number = PyLong_AsUnsignedLongLong(value);
        if (number == (unsigned long long)-1 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
        memcpy(to, &number, 8);
        return true;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return false;
    if (width < 8) {
        long long low = code == 'u' ? 0 : -(1LL << (8 * width - 1));
        long long high = code == 'u' ? (1LL << (8 * width)) - 1 : (1LL << (8 * width - 1)) - 1;
        if (number < low || number > high)
            return false;
    }
    memcpy(to, &number, width); /* little-endian: the low bytes come first */
    return true;
}

static bool pack_direct(const Layout *layout, PyObject *message, char *to) {
    if (layout->gaps)
        memset(to, 0, layout->size);
    for (Py_ssize_t i = 0; i < layout->count; i++) {
        const Field *field = &layout->fields[i];
        PyObject *value = *(PyObject **)((char *)message + field->place);
        char *at = to + field->offset;
        if (!value)
            return false;
        if (field->kind == SCALAR) {
            if (!put(field->code, field->width, value, at))
                return false;
        } else if (field->kind == ARRAY) {
            if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != (Py_ssize_t)field->count)
                return false;
            for (uint32_t j = 0; j < field->count; j++)
                if (!put(field->code, field->width, PyTuple_GET_ITEM(value, j), at + (size_t)j * field->width))
                    return false;
        } else {
            Py_ssize_t size;
            const char *text = PyUnicode_CheckExact(value) ? PyUnicode_AsUTF8AndSize(value, &size) : NULL;
            if (!text || size > (Py_ssize_t)field->count || memchr(text, 0, (size_t)size)) {
                PyErr_Clear();
                return false;
            }
            memcpy(at, text, (size_t)size);
            memset(at + size, 0, field->count - (size_t)size);
        }
    }
    return true;
}

static inline PyObject *get(char code, uint8_t width, const char *from) {
    if (code == 'd') {
        double number;
        memcpy(&number, from, 8);
        return PyFloat_FromDouble(number);
    }
    if (code == 'f') {
        float number;
        memcpy(&number, from, 4);
        return PyFloat_FromDouble(number);
    }
    if (code == '?')
        return PyBool_FromLong(*from != 0);
    uint64_t bits = 0;
    memcpy(&bits, from, width);
    if (code == 'u')
        return PyLong_FromUnsignedLongLong(bits);
    int unused = 64 - 8 * width;
    return PyLong_FromLongLong((long long)(bits << unused) >> unused);
}

/* Whether only this place refers to a value of this type, so that it may change. */
static inline bool alone(PyObject *value, PyTypeObject *type) {
    return value && Py_TYPE(value) == type && Py_REFCNT(value) == 1;
}

/* Put a value at a place that may hold an older one, whose end may run Python code; false on error. */
static inline bool settle(PyObject **place, PyObject *value) {
    PyObject *before = *place;
    if (!value)
        return false;
    *place = value;
    Py_XDECREF(before);
    return true;
}

static inline bool fill(char code, uint8_t width, const char *from, PyObject **place) {
    if (code == 'd') {
        double number;
        memcpy(&number, from, 8);
        if (alone(*place, &PyFloat_Type)) {
            ((PyFloatObject *)*place)->ob_fval = number;
            return true;
        }
        return settle(place, PyFloat_FromDouble(number));
    }
    return settle(place, get(code, width, from));
}

static bool fill_tuple(const Field *field, const char *from, PyObject **place) {
    PyObject *tuple = *place;
    /* From 3.14 on a tuple remembers its hash. */
    if (PY_VERSION_HEX >= 0x030e0000 || !alone(tuple, &PyTuple_Type) ||
        PyTuple_GET_SIZE(tuple) != (Py_ssize_t)field->count) {
        tuple = PyTuple_New(field->count);
        if (!settle(place, tuple))
            return false;
    }
    PyObject **items = &PyTuple_GET_ITEM(tuple, 0);
    for (uint32_t i = 0; i < field->count; i++)
        if (!fill(field->code, field->width, from + (size_t)i * field->width, &items[i]))
            return false;
    return true;
}

/* Make a message of whole bytes, or fill `message`, which nobody else sees; the reference to it is used up. */
static PyObject *unpack_direct(const Layout *layout, const char *from, PyObject *message) {
    if (!message && !(message = layout->cls->tp_alloc(layout->cls, 0)))
        return NULL;
    for (Py_ssize_t i = 0; i < layout->count; i++) {
        const Field *field = &layout->fields[i];
        const char *at = from + field->offset;
        PyObject **place = (PyObject **)((char *)message + field->place);
        bool done;
        if (field->kind == SCALAR)
            done = fill(field->code, field->width, at, place);
        else if (field->kind == ARRAY)
            done = fill_tuple(field, at, place);
        else
            done = settle(place, PyUnicode_DecodeUTF8(at, (Py_ssize_t)strnlen(at, field->count), NULL));
        if (!done) {
            Py_DECREF(message);
            return NULL;
        }
    }
    return message;
}

static int declared_init(void) {
    if (layouts) /* imported before */
        return 0;
    layouts = PyDict_New();
    s_spec = PyUnicode_InternFromString("__horus_spec__");
    return layouts && s_spec && PyType_Ready(&Layout_Type) == 0 ? 0 : -1;
}
