/* The native core of the topic bus: one writer and one reader on the layout of LAYOUT.md.
 *
 * Everything that happens once (opening, growing, finding rings, errors in words) is Python, in topic.py; here is what
 * happens once a message. Its twin in Python is pure.py. While a slot is being written no Python code runs, so threads
 * that share a writer take turns by the GIL.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout is little-endian; use the pure core on this machine"
#endif

/* The numbers of layout.py; a test compares them. */
#define CONTROL_SIZE 8192
#define CONTROL_GENERATION 24
#define CONTROL_DEPTH 32
#define CONTROL_READERS 36
#define CONTROL_WAITING 256
#define MAX_READERS 256
#define RING_BASE 48
#define RING_NEXT 64
#define RING_CLOSED 128
#define RING_HEADER 192
#define SLOT_SEQUENCE 0
#define SLOT_STAMP 8
#define SLOT_HASH 16
#define SLOT_LENGTH 24
#define SLOT_KIND 28
#define SLOT_HEADER 32
#define KIND_STRUCT 1
#define KIND_MSGPACK 2
#define KIND_ARRAY 3

#define ON_STACK 2048 /* declared messages up to this size are copied to the stack before they are decoded */
#define MAX_PARTS 4

/* ---- words in shared memory ------------------------------------------------------------- */

static inline uint64_t load_acquire(const char *at) {
    return atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_acquire);
}
static inline uint64_t load_relaxed(const char *at) {
    return atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_relaxed);
}
static inline uint32_t load_half(const char *at) {
    return atomic_load_explicit((const _Atomic uint32_t *)at, memory_order_relaxed);
}
static inline void store_release(char *at, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)at, value, memory_order_release);
}

static inline uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- declared messages ------------------------------------------------------------------ */

typedef enum { SCALAR, STRING, ARRAY } FieldKind;

typedef struct {
    FieldKind kind;
    char code; /* 'd' 'f' '?', or 'i' / 'u' with a width */
    uint8_t width;
    uint32_t offset, count;
    Py_ssize_t place; /* of the member in the instance */
} Field;

/* What the core knows of a message class: its MessageSpec, and where its slots lie. */
typedef struct {
    PyObject_HEAD
    PyObject *spec;
    PyTypeObject *cls;
    uint64_t hash;
    uint32_t size;
    bool direct; /* fields are packed and unpacked here; else by the spec's own methods */
    bool gaps;
    Py_ssize_t count;
    Field *fields;
} Layout;

static PyObject *layouts;  /* class -> Layout, for as long as the process runs */
static PyObject *s_spec, *unpack_msgpack;
static PyTypeObject Layout_Type;

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
    PyObject *member = PyObject_GetAttr((PyObject *)cls, name);
    Py_DECREF(name);
    if (!member) {
        PyErr_Clear();
        return 0;
    }
    int known = 0;
    if (Py_TYPE(member) == &PyMemberDescr_Type) {
        PyMemberDef *definition = ((PyMemberDescrObject *)member)->d_member;
        if (definition->type == T_OBJECT_EX && PyType_IsSubtype(cls, PyDescr_TYPE(member))) {
            field->place = definition->offset;
            known = 1;
        }
    }
    Py_DECREF(member);
    return known;
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
    self = PyObject_New(Layout, &Layout_Type);
    if (!self)
        goto done;
    Py_INCREF(spec);
    self->spec = spec;
    Py_INCREF(cls);
    self->cls = (PyTypeObject *)cls;
    self->hash = hash;
    self->size = (uint32_t)size;
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

/* Put one value at `to`; false when it is not exactly of the plain type, which the slow way then judges. */
static inline bool put(char code, uint8_t width, PyObject *value, char *to) {
    if (code == 'd') {
        double number;
        if (PyFloat_CheckExact(value)) {
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
        memcpy(to, &number, 8);
        return true;
    }
    if (code == 'f') {
        if (!PyFloat_CheckExact(value))
            return false;
        double number = PyFloat_AS_DOUBLE(value);
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
    if (!PyLong_CheckExact(value))
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

static PyObject *unpack_direct(const Layout *layout, const char *from) {
    PyObject *message = layout->cls->tp_alloc(layout->cls, 0);
    if (!message)
        return NULL;
    for (Py_ssize_t i = 0; i < layout->count; i++) {
        const Field *field = &layout->fields[i];
        const char *at = from + field->offset;
        PyObject *value;
        if (field->kind == SCALAR) {
            value = get(field->code, field->width, at);
        } else if (field->kind == ARRAY) {
            value = PyTuple_New(field->count);
            for (uint32_t j = 0; value && j < field->count; j++) {
                PyObject *item = get(field->code, field->width, at + (size_t)j * field->width);
                if (!item)
                    Py_CLEAR(value);
                else
                    PyTuple_SET_ITEM(value, j, item);
            }
        } else {
            value = PyUnicode_DecodeUTF8(at, (Py_ssize_t)strnlen(at, field->count), NULL);
        }
        if (!value) {
            Py_DECREF(message);
            return NULL;
        }
        *(PyObject **)((char *)message + field->place) = value;
    }
    return message;
}

/* ---- Writer ----------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Py_buffer control, ring;
    PyObject *declared; /* Layout or NULL */
    PyObject *last;     /* Layout of the last declared message on an undeclared topic, or NULL */
    PyObject *pack, *encode, *refuse, *pack_slowly, *grow, *wake;
    uint64_t mask, next;
    int64_t capacity; /* -1: no ring */
    uint32_t stride, depth;
} Writer;

static int Writer_init(Writer *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"control", "spec", "pack", "encode", "refuse", "pack_slowly", "grow", "wake", NULL};
    PyObject *spec, *pack, *encode, *refuse, *pack_slowly, *grow, *wake;
    Py_buffer control;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "w*OOOOOOO", names, &control, &spec, &pack, &encode, &refuse,
                                     &pack_slowly, &grow, &wake))
        return -1;
    if (control.len < CONTROL_SIZE || self->control.obj) {
        PyBuffer_Release(&control);
        PyErr_SetString(PyExc_ValueError, "not a control file");
        return -1;
    }
    self->control = control;
    self->capacity = -1;
    if (spec != Py_None && !(self->declared = (PyObject *)new_layout(spec)))
        return -1;
#define KEEP(name) (Py_INCREF(name), self->name = name)
    KEEP(pack), KEEP(encode), KEEP(refuse), KEEP(pack_slowly), KEEP(grow), KEEP(wake);
    return 0;
}

static int Writer_traverse(Writer *self, visitproc visit, void *arg) {
    Py_VISIT(self->control.obj); Py_VISIT(self->ring.obj);
    Py_VISIT(self->pack); Py_VISIT(self->encode); Py_VISIT(self->refuse);
    Py_VISIT(self->pack_slowly); Py_VISIT(self->grow); Py_VISIT(self->wake);
    return 0;
}

static int Writer_clear(Writer *self) {
    self->capacity = -1;
    PyBuffer_Release(&self->control), PyBuffer_Release(&self->ring);
    Py_CLEAR(self->declared); Py_CLEAR(self->last);
    Py_CLEAR(self->pack); Py_CLEAR(self->encode); Py_CLEAR(self->refuse);
    Py_CLEAR(self->pack_slowly); Py_CLEAR(self->grow); Py_CLEAR(self->wake);
    return 0;
}

static void Writer_dealloc(Writer *self) {
    PyObject_GC_UnTrack(self);
    Writer_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Writer_attach(Writer *self, PyObject *args) {
    Py_buffer ring;
    unsigned int slots, stride, depth;
    unsigned long long next;
    if (!PyArg_ParseTuple(args, "w*IIKI", &ring, &slots, &stride, &next, &depth))
        return NULL;
    if (slots == 0 || (slots & (slots - 1)) || stride <= SLOT_HEADER || stride % 64 ||
        (uint64_t)ring.len < RING_HEADER + (uint64_t)slots * stride) {
        PyBuffer_Release(&ring);
        PyErr_SetString(PyExc_ValueError, "not a ring of this shape");
        return NULL;
    }
    PyBuffer_Release(&self->ring);
    self->ring = ring;
    self->mask = slots - 1;
    self->stride = stride;
    self->capacity = (int64_t)stride - SLOT_HEADER;
    self->depth = depth;
    self->next = next;
    Py_RETURN_NONE;
}

static PyObject *Writer_detach(Writer *self, PyObject *Py_UNUSED(ignored)) {
    self->capacity = -1;
    self->next = 0;
    Py_RETURN_NONE;
}

static PyObject *Writer_close(Writer *self, PyObject *Py_UNUSED(ignored)) {
    self->capacity = -1;
    PyBuffer_Release(&self->ring);
    PyBuffer_Release(&self->control);
    Py_RETURN_NONE;
}

/* Make sure that a payload of this size has a slot; Python code may run. */
static int make_room(Writer *self, int64_t size) {
    while (size > self->capacity || load_half((char *)self->control.buf + CONTROL_DEPTH) > self->depth) {
        PyObject *done = PyObject_CallFunction(self->grow, "L", (long long)size);
        if (!done)
            return -1;
        Py_DECREF(done);
    }
    return 0;
}

static inline char *begin(Writer *self) {
    char *slot = (char *)self->ring.buf + RING_HEADER + (self->next & self->mask) * self->stride;
    store_release(slot, 2 * self->next + 1);
    atomic_thread_fence(memory_order_release);
    return slot;
}

static inline void describe(char *slot, uint64_t stamp, uint64_t hash, uint32_t length, uint32_t kind) {
    memcpy(slot + SLOT_STAMP, &stamp, 8);
    memcpy(slot + SLOT_HASH, &hash, 8);
    memcpy(slot + SLOT_LENGTH, &length, 4);
    memcpy(slot + SLOT_KIND, &kind, 4);
}

/* Publish what was written, and wake who waits; Python code may run. */
static PyObject *publish(Writer *self, char *slot) {
    store_release(slot, 2 * self->next + 2);
    store_release((char *)self->ring.buf + RING_NEXT, self->next + 1);
    self->next++;
    atomic_thread_fence(memory_order_seq_cst);
    const char *control = self->control.buf;
    uint32_t readers = load_half(control + CONTROL_READERS);
    if (readers > MAX_READERS)
        readers = MAX_READERS;
    for (uint32_t i = 0; i < readers; i += 8) {
        if (load_relaxed(control + CONTROL_WAITING + i)) {
            PyObject *done = PyObject_CallNoArgs(self->wake);
            if (!done)
                return NULL;
            Py_DECREF(done);
            break;
        }
    }
    Py_RETURN_TRUE;
}

static PyObject *send_parts(Writer *self, PyObject *const *parts, Py_ssize_t count, uint32_t kind, uint64_t hash,
                            uint64_t stamp) {
    Py_buffer views[MAX_PARTS];
    Py_ssize_t held = 0;
    int64_t size = 0;
    PyObject *result = NULL;
    for (; held < count; held++) {
        if (PyObject_GetBuffer(parts[held], &views[held], PyBUF_SIMPLE) < 0)
            goto done;
        size += views[held].len;
    }
    if (make_room(self, size) < 0)
        goto done;
    char *slot = begin(self), *to = slot + SLOT_HEADER;
    describe(slot, stamp ? stamp : monotonic_ns(), hash, (uint32_t)size, kind);
    for (Py_ssize_t i = 0; i < count; i++) {
        memcpy(to, views[i].buf, (size_t)views[i].len);
        to += views[i].len;
    }
    result = publish(self, slot);
done:
    while (held-- > 0)
        PyBuffer_Release(&views[held]);
    return result;
}

static PyObject *send_struct(Writer *self, Layout *layout, PyObject *message, uint64_t stamp) {
    if (layout->direct) {
        if (make_room(self, layout->size) < 0)
            return NULL;
        char *slot = begin(self);
        if (pack_direct(layout, message, slot + SLOT_HEADER)) {
            describe(slot, stamp ? stamp : monotonic_ns(), layout->hash, layout->size, KIND_STRUCT);
            return publish(self, slot);
        }
        /* The slot stays marked as unfinished; the next message takes the same one. */
    }
    PyObject *payload = PyObject_CallFunctionObjArgs(self->pack_slowly, layout->spec, message, NULL);
    if (!payload)
        return NULL;
    PyObject *result = send_parts(self, &payload, 1, KIND_STRUCT, layout->hash, stamp);
    Py_DECREF(payload);
    return result;
}

static PyObject *send_encoded(Writer *self, PyObject *message, uint64_t stamp) {
    PyObject *encoded = PyObject_CallOneArg(self->encode, message);
    if (!encoded)
        return NULL;
    PyObject *parts, *result = NULL;
    unsigned int kind;
    if (PyArg_ParseTuple(encoded, "IO!", &kind, &PyTuple_Type, &parts)) {
        Py_ssize_t count = PyTuple_GET_SIZE(parts);
        if (count > MAX_PARTS)
            PyErr_SetString(PyExc_ValueError, "too many parts");
        else
            result = send_parts(self, &PyTuple_GET_ITEM(parts, 0), count, kind, 0, stamp);
    }
    Py_DECREF(encoded);
    return result;
}

static PyObject *Writer_send(Writer *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    PyObject *given = NULL;
    if (count == 2 && !names) {
        given = args[1];
    } else if (names) {
        if (count != 1 || PyTuple_GET_SIZE(names) != 1 ||
            PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "stamp_ns")) {
            PyErr_SetString(PyExc_TypeError, "send() takes a message and stamp_ns");
            return NULL;
        }
        given = args[1];
    } else if (count != 1) {
        PyErr_SetString(PyExc_TypeError, "send() takes a message and stamp_ns");
        return NULL;
    }
    uint64_t stamp = 0;
    if (given && given != Py_None) {
        stamp = PyLong_AsUnsignedLongLong(given);
        if (stamp == (uint64_t)-1 && PyErr_Occurred())
            return NULL;
    }
    PyObject *message = args[0];
    PyTypeObject *type = Py_TYPE(message);
    Layout *layout = (Layout *)(self->declared ? self->declared : self->last);
    if (layout && type == layout->cls)
        return send_struct(self, layout, message, stamp);
    if (!self->refuse) {
        PyErr_SetString(PyExc_ValueError, "this writer is gone");
        return NULL;
    }
    if (self->declared)
        return PyObject_CallOneArg(self->refuse, message);
    if (type == &PyDict_Type) {
        PyObject *payload = PyObject_CallOneArg(self->pack, message);
        if (payload) {
            PyObject *result = send_parts(self, &payload, 1, KIND_MSGPACK, 0, stamp);
            Py_DECREF(payload);
            return result;
        }
        if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError) &&
            !PyErr_ExceptionMatches(PyExc_OverflowError))
            return NULL;
        PyErr_Clear(); /* something in it needs the long way, or is refused there in words */
        return send_encoded(self, message, stamp);
    }
    layout = layout_of(type);
    if (layout) {
        Py_INCREF(layout);
        Py_XSETREF(self->last, (PyObject *)layout);
        return send_struct(self, layout, message, stamp);
    }
    if (PyErr_Occurred())
        return NULL;
    return send_encoded(self, message, stamp);
}

static PyMethodDef Writer_methods[] = {
    {"attach", (PyCFunction)Writer_attach, METH_VARARGS, "Write into this ring from now on."},
    {"detach", (PyCFunction)Writer_detach, METH_NOARGS, "Write nowhere until attach: the next send asks for a ring."},
    {"send", (PyCFunction)(void (*)(void))Writer_send, METH_FASTCALL | METH_KEYWORDS,
     "send(message, stamp_ns=None)\n--\n\nPut a message on the topic; True once it is there."},
    {"close", (PyCFunction)Writer_close, METH_NOARGS, "Let go of the memory."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Writer_members[] = {
    {"next", T_ULONGLONG, offsetof(Writer, next), READONLY, "number of the next message"},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject Writer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Writer",
    .tp_basicsize = sizeof(Writer),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The writing end of a publisher's ring.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Writer_init,
    .tp_dealloc = (destructor)Writer_dealloc,
    .tp_traverse = (traverseproc)Writer_traverse,
    .tp_clear = (inquiry)Writer_clear,
    .tp_methods = Writer_methods,
    .tp_members = Writer_members,
};

/* ---- Reader ----------------------------------------------------------------------------- */

typedef struct {
    uint64_t publisher, mask, base, cursor, limit;
    uint32_t stride;
    Py_buffer memory;
    uint64_t stamp; /* of the message at the cursor, while rings are compared */
    uint64_t end;   /* next, as last seen */
} Ring;

typedef struct {
    PyObject_HEAD
    Py_buffer control;
    PyObject *declared; /* Layout or NULL */
    PyObject *last;     /* Layout of the last declared message seen on an undeclared topic, or NULL */
    PyObject *rescan, *decode, *mismatch, *corrupt, *on_drop;
    uint64_t generation, dropped, last_stamp, depth;
    bool told; /* on_drop was called */
    Py_ssize_t count;
    Ring *rings;
} Reader;

typedef enum { NOTHING = 0, FOUND = 1, FAILED = -1, OVERWRITTEN = -2 } Outcome;

static int Reader_init(Reader *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"control", "depth",    "spec",    "rescan", "decode",
                            "mismatch", "corrupt", "on_drop", NULL};
    PyObject *spec, *rescan, *decode, *mismatch, *corrupt, *on_drop;
    unsigned long long depth;
    Py_buffer control;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*KOOOOOO", names, &control, &depth, &spec, &rescan, &decode,
                                     &mismatch, &corrupt, &on_drop))
        return -1;
    if (control.len < CONTROL_SIZE || self->control.obj) {
        PyBuffer_Release(&control);
        PyErr_SetString(PyExc_ValueError, "not a control file");
        return -1;
    }
    self->control = control;
    self->generation = load_acquire((char *)control.buf + CONTROL_GENERATION);
    self->depth = depth;
    self->told = on_drop == Py_None;
    if (spec != Py_None && !(self->declared = (PyObject *)new_layout(spec)))
        return -1;
    KEEP(rescan), KEEP(decode), KEEP(mismatch), KEEP(corrupt), KEEP(on_drop);
    return 0;
}

static int Reader_traverse(Reader *self, visitproc visit, void *arg) {
    Py_VISIT(self->control.obj);
    for (Py_ssize_t i = 0; i < self->count; i++)
        Py_VISIT(self->rings[i].memory.obj);
    Py_VISIT(self->rescan); Py_VISIT(self->decode); Py_VISIT(self->mismatch);
    Py_VISIT(self->corrupt); Py_VISIT(self->on_drop);
    return 0;
}

static void drop_rings(Reader *self) {
    Py_ssize_t count = self->count;
    self->count = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        PyBuffer_Release(&self->rings[i].memory);
    PyMem_Free(self->rings);
    self->rings = NULL;
}

static int Reader_clear(Reader *self) {
    drop_rings(self);
    PyBuffer_Release(&self->control);
    Py_CLEAR(self->declared); Py_CLEAR(self->last);
    Py_CLEAR(self->rescan); Py_CLEAR(self->decode); Py_CLEAR(self->mismatch);
    Py_CLEAR(self->corrupt); Py_CLEAR(self->on_drop);
    return 0;
}

static void Reader_dealloc(Reader *self) {
    PyObject_GC_UnTrack(self);
    Reader_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static Ring *find_ring(Reader *self, uint64_t publisher) {
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (self->rings[i].publisher == publisher)
            return &self->rings[i];
    return NULL;
}

/* Fill in a ring from (publisher, memory, slots, stride, base); the sizes were checked against the file and are again here. */
static int set_ring(Reader *self, Ring *ring, uint64_t publisher, Py_buffer *memory, unsigned int slots,
                    unsigned int stride, uint64_t base) {
    if (slots == 0 || (slots & (slots - 1)) || stride <= SLOT_HEADER || stride % 64 ||
        (uint64_t)memory->len < RING_HEADER + (uint64_t)slots * stride) {
        PyBuffer_Release(memory);
        PyErr_SetString(PyExc_ValueError, "not a ring of this shape");
        return -1;
    }
    ring->publisher = publisher;
    ring->memory = *memory;
    ring->mask = slots - 1;
    ring->stride = stride;
    ring->base = base;
    ring->limit = self->depth < slots - 1 ? self->depth : slots - 1;
    return 0;
}

static PyObject *Reader_attach(Reader *self, PyObject *args) {
    unsigned long long publisher, base, cursor;
    unsigned int slots, stride;
    Py_buffer memory;
    if (!PyArg_ParseTuple(args, "Ky*IIKK", &publisher, &memory, &slots, &stride, &base, &cursor))
        return NULL;
    Ring *grown = PyMem_Realloc(self->rings, (size_t)(self->count + 1) * sizeof(Ring));
    if (!grown) {
        PyBuffer_Release(&memory);
        return PyErr_NoMemory();
    }
    self->rings = grown;
    Ring *ring = &self->rings[self->count];
    memset(ring, 0, sizeof *ring);
    if (set_ring(self, ring, publisher, &memory, slots, stride, base) < 0)
        return NULL;
    ring->cursor = cursor;
    self->count++;
    Py_RETURN_NONE;
}

static PyObject *Reader_replace(Reader *self, PyObject *args) {
    unsigned long long publisher, base;
    unsigned int slots, stride;
    Py_buffer memory;
    if (!PyArg_ParseTuple(args, "Ky*IIK", &publisher, &memory, &slots, &stride, &base))
        return NULL;
    Ring *ring = find_ring(self, publisher);
    if (!ring) {
        PyBuffer_Release(&memory);
        Py_RETURN_NONE;
    }
    Py_buffer old = ring->memory;
    if (set_ring(self, ring, publisher, &memory, slots, stride, base) < 0)
        return NULL;
    PyBuffer_Release(&old);
    Py_RETURN_NONE;
}

static void remove_ring(Reader *self, uint64_t publisher) {
    Ring *ring = find_ring(self, publisher);
    if (!ring)
        return;
    Py_buffer memory = ring->memory;
    memmove(ring, ring + 1, (size_t)(self->rings + self->count - (ring + 1)) * sizeof(Ring));
    self->count--;
    PyBuffer_Release(&memory);
}

static PyObject *Reader_detach(Reader *self, PyObject *arg) {
    unsigned long long publisher = PyLong_AsUnsignedLongLong(arg);
    if (publisher == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    remove_ring(self, publisher);
    Py_RETURN_NONE;
}

static PyObject *Reader_rings(Reader *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < self->count; i++) {
        const char *memory = self->rings[i].memory.buf;
        PyObject *item = Py_BuildValue("(KKKK)", self->rings[i].publisher, self->rings[i].cursor,
                                       load_acquire(memory + RING_NEXT), load_relaxed(memory + RING_CLOSED));
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* Let go of a ring that cannot be right, and say so; always FAILED. */
static Outcome damaged(Reader *self, Ring *ring, const char *what, uint64_t number) {
    char text[96];
    uint64_t publisher = ring->publisher;
    snprintf(text, sizeof text, what, (unsigned long long)number);
    remove_ring(self, publisher);
    PyObject *done = PyObject_CallFunction(self->corrupt, "Ks", (unsigned long long)publisher, text);
    if (done) {
        Py_DECREF(done);
        PyErr_SetString(PyExc_RuntimeError, text);
    }
    return FAILED;
}

/* Look for new rings when the generation says that there are some; Python code may run. */
static int refresh(Reader *self) {
    if (!self->control.buf) {
        PyErr_SetString(PyExc_ValueError, "this reader is closed");
        return -1;
    }
    uint64_t generation = load_acquire((char *)self->control.buf + CONTROL_GENERATION);
    if (generation == self->generation)
        return 0;
    self->generation = generation; /* noted first: a change during the scan is seen at the next call */
    PyObject *done = PyObject_CallNoArgs(self->rescan);
    if (!done)
        return -1;
    Py_DECREF(done);
    return 0;
}

/* Call on_drop after the first loss; Python code may run. */
static int tell_drop(Reader *self) {
    self->told = true;
    PyObject *done = PyObject_CallNoArgs(self->on_drop);
    if (!done)
        return -1;
    Py_DECREF(done);
    return 0;
}

static inline const char *slot_of(const Ring *ring, uint64_t number) {
    return (const char *)ring->memory.buf + RING_HEADER + (number & ring->mask) * ring->stride;
}

/* Move the cursor into the window, counting what fell out of it as lost; set *unread. */
static inline Outcome available(Reader *self, Ring *ring, uint64_t *unread) {
    uint64_t end = load_acquire((const char *)ring->memory.buf + RING_NEXT);
    if (end < ring->cursor || end < ring->base)
        return damaged(self, ring, "its message counter went backwards to %llu", end);
    uint64_t behind = end - ring->cursor;
    if (behind) {
        uint64_t lost = behind > ring->limit ? behind - ring->limit : 0;
        if (ring->base > ring->cursor && ring->base - ring->cursor > lost)
            lost = ring->base - ring->cursor;
        ring->cursor += lost;
        self->dropped += lost;
        behind -= lost;
    }
    ring->end = end;
    *unread = behind;
    return FOUND;
}

/* The message's slot must hold it, whole. */
static inline Outcome check_slot(Reader *self, Ring *ring, uint64_t number) {
    uint64_t word = load_acquire(slot_of(ring, number));
    if (word == 2 * number + 2)
        return FOUND;
    if (word > 2 * number + 2 && load_acquire((const char *)ring->memory.buf + RING_NEXT) - number > ring->mask)
        return OVERWRITTEN;
    return damaged(self, ring, "the sequence word of message %llu is wrong", number);
}

static inline bool still_whole(const Ring *ring, uint64_t number) {
    atomic_thread_fence(memory_order_acquire);
    return load_relaxed(slot_of(ring, number)) == 2 * number + 2;
}

static Outcome read_stamp(Reader *self, Ring *ring, uint64_t number, uint64_t *stamp) {
    Outcome outcome = check_slot(self, ring, number);
    if (outcome != FOUND)
        return outcome;
    *stamp = load_relaxed(slot_of(ring, number) + SLOT_STAMP);
    return still_whole(ring, number) ? FOUND : OVERWRITTEN;
}

/* Find the ring whose next unread message is the oldest, keeping to the depth over all rings. */
static Outcome oldest(Reader *self, Ring **chosen) {
    uint64_t unread = 0, total = 0;
    Py_ssize_t busy = 0;
    *chosen = NULL;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Ring *ring = &self->rings[i];
        if (available(self, ring, &unread) == FAILED)
            return FAILED;
        if (unread) {
            *chosen = ring;
            total += unread;
            busy++;
        }
    }
    if (busy <= 1)
        return *chosen ? FOUND : NOTHING;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Ring *ring = &self->rings[i];
        if (ring->cursor < ring->end) {
            Outcome outcome = read_stamp(self, ring, ring->cursor, &ring->stamp);
            if (outcome != FOUND)
                return outcome;
        }
    }
    for (;;) {
        Ring *best = NULL;
        for (Py_ssize_t i = 0; i < self->count; i++) {
            Ring *ring = &self->rings[i];
            if (ring->cursor < ring->end && (!best || ring->stamp < best->stamp))
                best = ring;
        }
        *chosen = best;
        if (total <= self->depth)
            return best ? FOUND : NOTHING;
        best->cursor++;
        self->dropped++;
        total--;
        if (best->cursor < best->end) {
            Outcome outcome = read_stamp(self, best, best->cursor, &best->stamp);
            if (outcome != FOUND)
                return outcome;
        }
    }
}

/* Let Python decode, or say what is wrong. */
static PyObject *decode_slowly(Reader *self, PyObject *how, uint32_t kind, uint64_t hash, const char *data,
                               Py_ssize_t length) {
    PyObject *payload = PyByteArray_FromStringAndSize(data, length);
    if (!payload)
        return NULL;
    PyObject *result = PyObject_CallFunction(how, "IKO", kind, (unsigned long long)hash, payload);
    Py_DECREF(payload);
    (void)self;
    return result;
}

static PyObject *decode_struct(Reader *self, uint64_t hash, const char *data, uint32_t length) {
    Layout *layout = (Layout *)(self->declared ? self->declared : self->last);
    if (layout && layout->hash == hash && layout->direct && layout->size == length) {
        PyObject *message = unpack_direct(layout, data);
        if (message)
            return message;
        PyErr_Clear(); /* the slow way finds the same fault and has words for it */
    }
    PyObject *message = decode_slowly(self, self->decode, KIND_STRUCT, hash, data, length);
    if (message && !self->declared) {
        Layout *seen = layout_of(Py_TYPE(message));
        if (seen) {
            Py_INCREF(seen);
            Py_XSETREF(self->last, (PyObject *)seen);
        } else {
            PyErr_Clear();
        }
    }
    return message;
}

/* Copy message `number` out, make sure that it is whole, move the cursors by `advance`, decode it. */
static Outcome take(Reader *self, Ring *ring, uint64_t number, bool newest, PyObject **message, uint64_t *stamp) {
    Outcome outcome = check_slot(self, ring, number);
    if (outcome != FOUND)
        return outcome;
    const char *slot = slot_of(ring, number), *data = slot + SLOT_HEADER;
    uint64_t hash;
    uint32_t length, kind;
    memcpy(stamp, slot + SLOT_STAMP, 8);
    memcpy(&hash, slot + SLOT_HASH, 8);
    memcpy(&length, slot + SLOT_LENGTH, 4);
    memcpy(&kind, slot + SLOT_KIND, 4);
    if (length > ring->stride - SLOT_HEADER) {
        if (!still_whole(ring, number))
            return OVERWRITTEN;
        return damaged(self, ring, "the length of message %llu is wrong", number);
    }
    char small[ON_STACK];
    PyObject *bytes = NULL;
    if (kind == KIND_STRUCT && length <= ON_STACK) {
        memcpy(small, data, length);
    } else {
        bytes = kind == KIND_MSGPACK ? PyBytes_FromStringAndSize(NULL, length)
                                     : PyByteArray_FromStringAndSize(NULL, length);
        if (!bytes)
            return FAILED;
        memcpy(kind == KIND_MSGPACK ? PyBytes_AS_STRING(bytes) : PyByteArray_AS_STRING(bytes), data, length);
    }
    if (!still_whole(ring, number)) {
        Py_XDECREF(bytes);
        return OVERWRITTEN;
    }
    if (newest) {
        for (Py_ssize_t i = 0; i < self->count; i++)
            if (self->rings[i].end > self->rings[i].cursor)
                self->rings[i].cursor = self->rings[i].end;
    } else {
        ring->cursor = number + 1;
    }
    if (*stamp > self->last_stamp)
        self->last_stamp = *stamp;
    /* From here on Python code may run and the rings may change. */
    if (self->dropped && !self->told && tell_drop(self) < 0) {
        Py_XDECREF(bytes);
        return FAILED;
    }
    PyObject *payload = bytes;
    if (self->declared && (kind != KIND_STRUCT || hash != ((Layout *)self->declared)->hash)) {
        const char *copy = !bytes ? small : kind == KIND_MSGPACK ? PyBytes_AS_STRING(bytes) : PyByteArray_AS_STRING(bytes);
        *message = decode_slowly(self, self->mismatch, kind, hash, copy, length);
    } else if (!bytes) {
        *message = decode_struct(self, hash, small, length);
    } else if (kind == KIND_MSGPACK) {
        *message = PyObject_CallOneArg(unpack_msgpack, payload);
        if (!*message && PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear();
            *message = decode_slowly(self, self->decode, kind, hash, PyBytes_AS_STRING(bytes), length);
        }
    } else {
        *message = PyObject_CallFunction(self->decode, "IKO", kind, (unsigned long long)hash, payload);
    }
    Py_XDECREF(bytes);
    return *message ? FOUND : FAILED;
}

static Outcome receive(Reader *self, PyObject **message, uint64_t *stamp) {
    for (;;) {
        Ring *ring;
        Outcome outcome = oldest(self, &ring);
        if (outcome == FOUND)
            outcome = take(self, ring, ring->cursor, false, message, stamp);
        if (outcome != OVERWRITTEN)
            return outcome;
    }
}

static PyObject *Reader_recv(Reader *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *message = NULL;
    uint64_t stamp;
    if (refresh(self) < 0)
        return NULL;
    Outcome outcome = receive(self, &message, &stamp);
    if (outcome == NOTHING)
        Py_RETURN_NONE;
    return outcome == FOUND ? message : NULL;
}

static PyObject *Reader_recv_stamped(Reader *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *message = NULL;
    uint64_t stamp = 0;
    if (refresh(self) < 0)
        return NULL;
    Outcome outcome = receive(self, &message, &stamp);
    if (outcome == NOTHING)
        Py_RETURN_NONE;
    return outcome == FOUND ? Py_BuildValue("(NK)", message, (unsigned long long)stamp) : NULL;
}

static uint64_t count_unread(Reader *self) {
    uint64_t total = 0;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        const Ring *ring = &self->rings[i];
        uint64_t end = load_acquire((const char *)ring->memory.buf + RING_NEXT);
        uint64_t from = ring->cursor > ring->base ? ring->cursor : ring->base;
        if (end > from)
            total += end - from > ring->limit ? ring->limit : end - from;
    }
    return total > self->depth ? self->depth : total;
}

static PyObject *Reader_unread(Reader *self, PyObject *Py_UNUSED(ignored)) {
    return refresh(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(count_unread(self));
}

static PyObject *Reader_recv_all(Reader *self, PyObject *Py_UNUSED(ignored)) {
    if (refresh(self) < 0)
        return NULL;
    uint64_t stamp, count = count_unread(self);
    PyObject *list = PyList_New(0);
    while (list && count--) {
        PyObject *message = NULL;
        Outcome outcome = receive(self, &message, &stamp);
        if (outcome == NOTHING)
            break;
        if (outcome != FOUND || PyList_Append(list, message) < 0)
            Py_CLEAR(list);
        Py_XDECREF(message);
    }
    return list;
}

static PyObject *Reader_latest(Reader *self, PyObject *Py_UNUSED(ignored)) {
    if (refresh(self) < 0)
        return NULL;
    for (;;) {
        Ring *best = NULL;
        Outcome outcome = NOTHING;
        for (Py_ssize_t i = 0; i < self->count; i++) {
            Ring *ring = &self->rings[i];
            ring->end = load_acquire((const char *)ring->memory.buf + RING_NEXT);
            if (ring->end <= ring->cursor)
                continue;
            outcome = read_stamp(self, ring, ring->end - 1, &ring->stamp);
            if (outcome != FOUND)
                break;
            if (!best || ring->stamp >= best->stamp)
                best = ring;
        }
        PyObject *message = NULL;
        uint64_t stamp;
        if (outcome != FAILED && outcome != OVERWRITTEN) {
            if (!best)
                Py_RETURN_NONE;
            outcome = take(self, best, best->end - 1, true, &message, &stamp);
        }
        if (outcome != OVERWRITTEN)
            return outcome == FOUND ? message : NULL;
    }
}

static PyObject *Reader_peek_stamp(Reader *self, PyObject *Py_UNUSED(ignored)) {
    if (refresh(self) < 0)
        return NULL;
    for (;;) {
        Ring *ring;
        uint64_t stamp = 0;
        Outcome outcome = oldest(self, &ring);
        if (outcome == FOUND)
            outcome = read_stamp(self, ring, ring->cursor, &stamp);
        if (outcome == NOTHING)
            Py_RETURN_NONE;
        if (outcome == FOUND)
            return PyLong_FromUnsignedLongLong(stamp);
        if (outcome == FAILED)
            return NULL;
    }
}

static PyObject *Reader_discard_before(Reader *self, PyObject *arg) {
    unsigned long long limit = PyLong_AsUnsignedLongLong(arg);
    if (limit == (unsigned long long)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return NULL;
        PyErr_Clear();
        limit = 0; /* before the clock's beginning there is nothing */
    }
    if (refresh(self) < 0)
        return NULL;
    unsigned long long count = 0;
    for (;;) {
        Ring *ring;
        uint64_t stamp = 0;
        Outcome outcome = oldest(self, &ring);
        if (outcome == FOUND)
            outcome = read_stamp(self, ring, ring->cursor, &stamp);
        if (outcome == FAILED)
            return NULL;
        if (outcome == OVERWRITTEN)
            continue;
        if (outcome == NOTHING || stamp >= limit)
            return PyLong_FromUnsignedLongLong(count);
        ring->cursor++;
        count++;
        if (stamp > self->last_stamp)
            self->last_stamp = stamp;
    }
}

static PyObject *Reader_close(Reader *self, PyObject *Py_UNUSED(ignored)) {
    drop_rings(self);
    PyBuffer_Release(&self->control);
    Py_RETURN_NONE;
}

static PyMethodDef Reader_methods[] = {
    {"attach", (PyCFunction)Reader_attach, METH_VARARGS, "Read this ring too, from message cursor on."},
    {"replace", (PyCFunction)Reader_replace, METH_VARARGS, "Read the next part of a publisher's ring."},
    {"detach", (PyCFunction)Reader_detach, METH_O, "Read this publisher no more."},
    {"rings", (PyCFunction)Reader_rings, METH_NOARGS, "Return (publisher, cursor, next, closed) of each ring."},
    {"recv", (PyCFunction)Reader_recv, METH_NOARGS, "Return the next unread message, or None."},
    {"recv_stamped", (PyCFunction)Reader_recv_stamped, METH_NOARGS,
     "Return the next unread message and its stamp (monotonic ns), or None."},
    {"recv_all", (PyCFunction)Reader_recv_all, METH_NOARGS, "Return every message that is unread now, in order."},
    {"latest", (PyCFunction)Reader_latest, METH_NOARGS, "Return the newest unread message and skip the older ones."},
    {"unread", (PyCFunction)Reader_unread, METH_NOARGS, "Return how many messages can be received now."},
    {"peek_stamp", (PyCFunction)Reader_peek_stamp, METH_NOARGS,
     "Return the stamp of the message that recv would return, or None."},
    {"discard_before", (PyCFunction)Reader_discard_before, METH_O,
     "Skip unread messages with an older stamp; return how many."},
    {"close", (PyCFunction)Reader_close, METH_NOARGS, "Let go of the memory."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Reader_members[] = {
    {"dropped", T_ULONGLONG, offsetof(Reader, dropped), READONLY, "messages lost"},
    {"last_stamp", T_ULONGLONG, offsetof(Reader, last_stamp), READONLY, "newest stamp received or skipped"},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject Reader_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Reader",
    .tp_basicsize = sizeof(Reader),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The reading end: a cursor in each publisher's ring.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Reader_init,
    .tp_dealloc = (destructor)Reader_dealloc,
    .tp_traverse = (traverseproc)Reader_traverse,
    .tp_clear = (inquiry)Reader_clear,
    .tp_methods = Reader_methods,
    .tp_members = Reader_members,
};

/* ---- module ----------------------------------------------------------------------------- */

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "horus.bus._core",
    .m_doc = "The native core of the topic bus.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__core(void) {
    if (PyType_Ready(&Layout_Type) < 0 || PyType_Ready(&Writer_Type) < 0 || PyType_Ready(&Reader_Type) < 0)
        return NULL;
    PyObject *codec = PyImport_ImportModule("horus.bus.codec");
    if (!codec)
        return NULL;
    unpack_msgpack = PyObject_GetAttrString(codec, "unpack");
    Py_DECREF(codec);
    layouts = PyDict_New();
    s_spec = PyUnicode_InternFromString("__horus_spec__");
    PyObject *self = PyModule_Create(&module);
    if (!self || !unpack_msgpack || !layouts || !s_spec)
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
