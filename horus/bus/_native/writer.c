/* The writing end of a publisher's ring.
 *
 * While a slot is being written no Python code runs, so threads that share a writer take turns by the GIL.
 */
#include "shared.h"

#define DEPTH_PATIENCE 64
#define MOST_REST 1024 /* a declared message without its array, to be sent by this core */
#define WITHOUT_GIL (256 * 1024) /* arrays of so many bytes are copied while other threads run */

typedef struct {
    PyObject_HEAD
    Py_buffer control, ring;
    PyObject *declared; /* Layout or NULL */
    Layouts last;       /* of the declared messages on an undeclared topic */
    PyObject *encode, *refuse, *pack_slowly, *grow, *wake, *announce;
    Buffer plain; /* MessagePack is made here before it is known to fit */
    uint64_t mask, next;
    int64_t capacity; /* -1: no ring */
    uint32_t stride, depth;
    uint32_t patience; /* sends until more depth is tried for again */
    Slots *slots;      /* for arrays; NULL: Python sends them */
    Forms forms;
} Writer;

static int Writer_init(Writer *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"control", "spec", "encode", "refuse", "pack_slowly", "grow", "wake", "describe", NULL};
    PyObject *spec, *encode, *refuse, *pack_slowly, *grow, *wake, *announce;
    Py_buffer control;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "w*OOOOOOO", names, &control, &spec, &encode, &refuse,
                                     &pack_slowly, &grow, &wake, &announce))
        return -1;
    if (control.len < CONTROL_SIZE || self->control.obj) {
        PyBuffer_Release(&control);
        PyErr_SetString(PyExc_ValueError, "not a control file");
        return -1;
    }
    self->control = control;
    self->capacity = -1;
    KEEP(encode), KEEP(refuse), KEEP(pack_slowly), KEEP(grow), KEEP(wake), KEEP(announce);
    return spec != Py_None && !(self->declared = (PyObject *)new_layout(spec)) ? -1 : 0;
}

static int Writer_traverse(Writer *self, visitproc visit, void *arg) {
    Py_VISIT(self->control.obj); Py_VISIT(self->ring.obj);
    Py_VISIT(self->encode); Py_VISIT(self->refuse);
    Py_VISIT(self->pack_slowly); Py_VISIT(self->grow); Py_VISIT(self->wake); Py_VISIT(self->announce);
    return 0;
}

static int Writer_clear(Writer *self) {
    self->capacity = -1;
    let_go(&self->control), let_go(&self->ring);
    forget_forms(&self->forms);
    Py_CLEAR(self->declared); forget_layouts(&self->last); Py_CLEAR(self->slots);
    Py_CLEAR(self->encode); Py_CLEAR(self->refuse);
    Py_CLEAR(self->pack_slowly); Py_CLEAR(self->grow); Py_CLEAR(self->wake); Py_CLEAR(self->announce);
    return 0;
}

static void Writer_dealloc(Writer *self) {
    PyObject_GC_UnTrack(self);
    Writer_clear(self);
    PyMem_Free(self->plain.data);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Writer_attach(Writer *self, PyObject *args) {
    Py_buffer ring;
    unsigned int slots, stride, depth;
    unsigned long long next;
    if (!PyArg_ParseTuple(args, "w*IIKI", &ring, &slots, &stride, &next, &depth))
        return NULL;
    if (!self->control.buf || slots == 0 || (slots & (slots - 1)) || stride <= SLOT_HEADER || stride % 64 ||
        (uint64_t)ring.len < RING_HEADER + (uint64_t)slots * stride) {
        PyBuffer_Release(&ring);
        PyErr_SetString(PyExc_ValueError, "not a ring of this shape");
        return NULL;
    }
    if (next != self->next) {
        PyBuffer_Release(&ring);
        Py_RETURN_FALSE;
    }
    let_go(&self->ring);
    self->ring = ring;
    self->mask = slots - 1;
    self->stride = stride;
    self->capacity = (int64_t)stride - SLOT_HEADER;
    self->depth = depth;
    self->patience = 0;
    Py_RETURN_TRUE;
}

static PyObject *Writer_detach(Writer *self, PyObject *Py_UNUSED(ignored)) {
    self->capacity = -1;
    self->next = 0;
    Py_CLEAR(self->slots);
    Py_RETURN_NONE;
}

static PyObject *Writer_put_into(Writer *self, PyObject *slots) {
    if (!PyObject_TypeCheck(slots, &Slots_Type)) {
        PyErr_SetString(PyExc_TypeError, "not the Slots of this core");
        return NULL;
    }
    Py_XSETREF(self->slots, (Slots *)Py_NewRef(slots));
    Py_RETURN_NONE;
}

static PyObject *Writer_close(Writer *self, PyObject *Py_UNUSED(ignored)) {
    self->capacity = -1;
    let_go(&self->ring);
    let_go(&self->control);
    Py_RETURN_NONE;
}

/* Whether readers ask for more depth than the ring has, and it is time to try for it. */
static inline bool deeper_wanted(Writer *self) {
    if (load_half((char *)self->control.buf + CONTROL_DEPTH) <= self->depth)
        return false;
    return self->patience == 0 || --self->patience == 0;
}

static int call_grow(Writer *self, int64_t size) {
    PyObject *done = PyObject_CallFunction(self->grow, "L", (long long)size);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Make sure that a payload of this size has a slot; Python code may run. More depth is tried for and never waited for:
 * who sends may have a motor to mind. */
static int make_room(Writer *self, int64_t size) {
    for (;;) {
        while (size > self->capacity)
            if (call_grow(self, size) < 0)
                return -1;
        if (!deeper_wanted(self))
            return 0;
        self->patience = DEPTH_PATIENCE;
        if (call_grow(self, 0) < 0)
            return -1;
        /* Another thread may have closed this end meanwhile: look again. */
    }
}

static inline char *begin(Writer *self) {
    char *slot = (char *)self->ring.buf + RING_HEADER + (self->next & self->mask) * self->stride;
    store_release(slot, 2 * self->next + 1);
    atomic_thread_fence(memory_order_release);
    return slot;
}

static inline void describe(char *slot, uint64_t stamp, uint64_t hash, uint32_t length, uint32_t kind) {
    copy_slot(slot + SLOT_STAMP, &stamp, 8);
    copy_slot(slot + SLOT_HASH, &hash, 8);
    copy_slot(slot + SLOT_LENGTH, &length, 4);
    copy_slot(slot + SLOT_KIND, &kind, 4);
}

/* Publish what was written; true when somebody waits for it. */
static inline bool show(Writer *self, char *slot) {
    store_release(slot, 2 * self->next + 2);
    store_release((char *)self->ring.buf + RING_NEXT, self->next + 1);
    self->next++;
    atomic_thread_fence(memory_order_seq_cst);
    const char *control = self->control.buf;
    uint32_t readers = load_half(control + CONTROL_READERS);
    if (readers > MAX_READERS)
        readers = MAX_READERS;
    for (uint32_t i = 0; i < readers; i += 8)
        if (load_relaxed(control + CONTROL_WAITING + i))
            return true;
    return false;
}

/* Publish what was written, and wake who waits; Python code may run. */
static PyObject *publish(Writer *self, char *slot) {
    if (show(self, slot)) {
        PyObject *done = PyObject_CallNoArgs(self->wake);
        if (!done)
            return NULL;
        Py_DECREF(done);
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
        copy_slot(to, views[i].buf, (size_t)views[i].len);
        to += views[i].len;
    }
    result = publish(self, slot);
done:
    while (held-- > 0)
        PyBuffer_Release(&views[held]);
    return result;
}

/* Send what plain_encode has made; a grow in between may let another thread send, so it is copied out first. */
static PyObject *send_plain(Writer *self, uint64_t stamp) {
    size_t size = self->plain.size;
    if ((int64_t)size > self->capacity || load_half((char *)self->control.buf + CONTROL_DEPTH) > self->depth) {
        /* Python code will run. */
        PyObject *payload = PyBytes_FromStringAndSize(self->plain.data, (Py_ssize_t)size);
        PyObject *result = payload ? send_parts(self, &payload, 1, KIND_MSGPACK, 0, stamp) : NULL;
        Py_XDECREF(payload);
        return result;
    }
    char *slot = begin(self);
    describe(slot, stamp ? stamp : monotonic_ns(), 0, (uint32_t)size, KIND_MSGPACK);
    copy_slot(slot + SLOT_HEADER, self->plain.data, size);
    return publish(self, slot);
}

static PyObject *send_encoded(Writer *self, PyObject *message, uint64_t stamp) {
    PyObject *encoded = PyObject_CallOneArg(self->encode, message);
    if (!encoded)
        return NULL;
    PyObject *parts, *result = NULL;
    unsigned int kind;
    unsigned long long hash = 0;
    if (PyArg_ParseTuple(encoded, "IO!|K", &kind, &PyTuple_Type, &parts, &hash)) {
        Py_ssize_t count = PyTuple_GET_SIZE(parts);
        if (count == 0) /* readers hold every frame: it is lost */
            result = Py_NewRef(Py_False);
        else if (count > MAX_PARTS)
            PyErr_SetString(PyExc_ValueError, "too many parts");
        else
            result = send_parts(self, &PyTuple_GET_ITEM(parts, 0), count, kind, hash, stamp);
    }
    Py_DECREF(encoded);
    return result;
}

/* Whether a payload of this size can be sent without running Python code. */
static inline bool fits_now(const Writer *self, uint64_t size) {
    return (int64_t)size <= self->capacity && load_half((const char *)self->control.buf + CONTROL_DEPTH) <= self->depth;
}

/* What a frame belongs to: the hash and the bytes of a declared message without its array, or nothing. */
typedef struct {
    uint64_t hash;
    const char *data;
    size_t size;
} Rest;

/* Send the message that says where an array lies. */
static PyObject *send_frame(Writer *self, const Slots *slots, const Slot *slot, const Form *form, Rest rest, uint64_t stamp) {
    size_t head = (size_t)PyBytes_GET_SIZE(form->head);
    Ref ref = ref_to(slots, slot, form->size, head, rest.size);
    if (!fits_now(self, REF_SIZE + head + rest.size)) {
        PyObject *parts[] = {PyBytes_FromStringAndSize((const char *)&ref, REF_SIZE), form->head,
                             PyBytes_FromStringAndSize(rest.data, (Py_ssize_t)rest.size)};
        PyObject *result = parts[0] && parts[2] ? send_parts(self, parts, 3, KIND_FRAME, rest.hash, stamp) : NULL;
        Py_XDECREF(parts[0]);
        Py_XDECREF(parts[2]);
        return result;
    }
    char *to = begin(self);
    describe(to, stamp ? stamp : monotonic_ns(), rest.hash, (uint32_t)(REF_SIZE + head + rest.size), KIND_FRAME);
    copy_slot(to + SLOT_HEADER, &ref, REF_SIZE);
    copy_slot(to + SLOT_HEADER + REF_SIZE, PyBytes_AS_STRING(form->head), head);
    copy_slot(to + SLOT_HEADER + REF_SIZE + head, rest.data, rest.size);
    return publish(self, to);
}

/* Copy an array into a slot and send it; NULL without an error: Python does it. */
static PyObject *send_copy(Writer *self, const Array *array, Form *form, Rest rest, uint64_t stamp) {
    Slot *slot = self->slots ? claim_slot(self->slots, form->size ? form->size : 1, false) : NULL;
    if (!slot)
        return NULL;
    if (form->size < WITHOUT_GIL) {
        memcpy(slot->data, array->data, form->size);
        finish_slot(self->slots, slot);
        return send_frame(self, self->slots, slot, form, rest, stamp);
    }
    /* Others may run meanwhile. No claimed slot goes away, and the rest is held here. */
    Slots *slots = (Slots *)Py_NewRef(self->slots);
    Py_INCREF(form);
    Py_INCREF((PyObject *)array);
    Py_BEGIN_ALLOW_THREADS
    memcpy(slot->data, array->data, form->size);
    Py_END_ALLOW_THREADS
    finish_slot(slots, slot);
    PyObject *result = send_frame(self, slots, slot, form, rest, stamp);
    Py_DECREF((PyObject *)array);
    Py_DECREF(form);
    Py_DECREF(slots);
    return result;
}

/* Send an array; NULL without an error: Python does it. */
static PyObject *send_array(Writer *self, const Array *array, uint64_t stamp) {
    if (!(array->flags & C_ORDER))
        return NULL;
    Form *form = form_of_array(&self->forms, array);
    if (!form)
        return NULL;
    uint64_t size = form->size;
    if (size < FRAME_LEAST) {
        static const char zeros[16];
        size_t head = (size_t)PyBytes_GET_SIZE(form->head), fill = -head & 15;
        if (!fits_now(self, head + fill + size))
            return NULL;
        char *slot = begin(self), *to = slot + SLOT_HEADER;
        describe(slot, stamp ? stamp : monotonic_ns(), 0, (uint32_t)(head + fill + size), KIND_ARRAY);
        copy_slot(to, PyBytes_AS_STRING(form->head), head);
        copy_slot(to + head, zeros, fill);
        copy_slot(to + head + fill, array->data, size);
        return publish(self, slot);
    }
    return send_copy(self, array, form, (Rest){.data = ""}, stamp);
}

/* Send a declared message with an array; NULL without an error: Python does it, as it does when the array was lent. */
static PyObject *send_framed(Writer *self, Layout *layout, PyObject *message, uint64_t stamp) {
    char packed[MOST_REST];
    const Array *array = *(const Array **)((char *)message + layout->frame_place);
    if (!array || Py_TYPE((PyObject *)array) != array_type || !(array->flags & C_ORDER) || layout->size > sizeof packed ||
        lies_in(self->slots, array->data))
        return NULL;
    Form *form = form_of_array(&self->forms, array);
    if (!form || !is_numeric(form) || !pack_direct(layout, message, packed))
        return NULL;
    return send_copy(self, array, form, (Rest){layout->hash, packed, layout->size}, stamp);
}

static PyObject *send_struct(Writer *self, Layout *layout, PyObject *message, uint64_t stamp) {
    if (layout->framed) {
        PyObject *result = layout->frame_place && self->slots && numpy_known ? send_framed(self, layout, message, stamp) : NULL;
        return result || PyErr_Occurred() ? result : send_encoded(self, message, stamp);
    }
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
    if (given && given != Py_None && !(stamp = checked_stamp(given)))
        return NULL;
    PyObject *message = args[0];
    PyTypeObject *type = Py_TYPE(message);
    Layout *layout = self->declared ? (Layout *)self->declared : layout_with_class(&self->last, type);
    if (layout && type == layout->cls)
        return send_struct(self, layout, message, stamp);
    if (!self->refuse) {
        PyErr_SetString(PyExc_ValueError, "this writer is gone");
        return NULL;
    }
    if (self->declared)
        return PyObject_CallOneArg(self->refuse, message);
    self->plain.size = 0;
    if (plain_encode(&self->plain, message))
        return send_plain(self, stamp);
    if (!array_type)
        find_numpy();
    if (type == array_type && numpy_known) {
        PyObject *result = send_array(self, (const Array *)message, stamp);
        if (result || PyErr_Occurred())
            return result;
        return send_encoded(self, message, stamp);
    }
    layout = layout_of(type);
    if (layout) {
        PyObject *done = PyObject_CallOneArg(self->announce, layout->spec);
        if (!done)
            return NULL;
        Py_DECREF(done);
        keep_layout(&self->last, layout);
        return send_struct(self, layout, message, stamp);
    }
    if (PyErr_Occurred())
        return NULL;
    return send_encoded(self, message, stamp);
}

static PyMethodDef Writer_methods[] = {
    {"attach", (PyCFunction)Writer_attach, METH_VARARGS, "Write into this ring from now on, unless more was sent than the caller knows."},
    {"detach", (PyCFunction)Writer_detach, METH_NOARGS, "Write nowhere until attach: the next send asks for a ring."},
    {"put_into", (PyCFunction)Writer_put_into, METH_O, "Put arrays into these slots, where one can be had at once."},
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

