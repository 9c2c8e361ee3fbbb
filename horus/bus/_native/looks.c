/* Arrays on a publisher's memory, pinned while they live; the twin in Python is ../pure/looks.py. */
#include "shared.h"

/* A pool, mapped: its frames for reading only, its blocks for the pins. */
typedef struct {
    PyObject_HEAD
    Py_buffer frames, blocks;
    uint64_t publisher, capacity, first;
    uint32_t part, slots;
    uint64_t held; /* a bit for each slot that is looked at */
} Mapped;

typedef struct {
    PyObject_HEAD
    int reader; /* the entry, -1: none */
    Py_ssize_t count, alive;
    Mapped **pools;
    PyObject *freed; /* called when the last array has gone, once this is closed */
    Forms forms;
} Looks;

/* What an array is based on: when it goes, the pin is cleared. */
typedef struct {
    PyObject_HEAD
    Mapped *pool;
    Looks *looks;
    char *data, *pin;
    Py_ssize_t size;
    uint64_t forks, bit;
} Pin;

static uint64_t forks; /* how often this process came to be by fork since the core was loaded */

static void count_fork(void) {
    forks++;
}

static void Mapped_dealloc(Mapped *self) {
    let_go(&self->frames), let_go(&self->blocks);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Mapped_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Mapped",
    .tp_basicsize = sizeof(Mapped),
    .tp_dealloc = (destructor)Mapped_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A pool of frames, mapped.",
};

static inline char *block_of(const Mapped *pool, uint32_t slot) {
    return (char *)pool->blocks.buf + FRAMES_BLOCKS + (size_t)slot * FRAMES_BLOCK;
}

/* Ask for what look and the reader of the array will need. */
static inline void fetch_frame(const Looks *self, const Mapped *pool, uint32_t slot) {
    const char *block = block_of(pool, slot);
    fetch_line_to_write(block + BLOCK_PINS + self->reader);
    fetch_line(block);
    fetch_line((const char *)pool->frames.buf + pool->first + slot * pool->capacity);
}

/* Whether a block's word says that it holds the frame of this number, whole. A number that is damaged could come out right when
 * it is doubled. */
static inline bool holds(const char *block, uint64_t serial) {
    return load_acquire(block) == 2 * serial + 2 && !(serial >> 63);
}

/* Set the pin, and look whether the frame is there; the pin is cleared if not. */
static inline bool pin_frame(char *block, uint32_t reader, uint64_t serial) {
    store_byte(block + BLOCK_PINS + reader, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (holds(block, serial))
        return true;
    store_byte(block + BLOCK_PINS + reader, 0);
    return false;
}

static void Pin_dealloc(Pin *self) {
    Looks *looks = self->looks;
    if (self->forks == forks) { /* else this is a copy of what the parent has pinned */
        self->pool->held &= ~self->bit;
        store_byte(self->pin, 0);
        if (--looks->alive == 0 && looks->freed) {
            PyObject *type, *error, *trace;
            PyErr_Fetch(&type, &error, &trace);
            PyObject *done = PyObject_CallNoArgs(looks->freed);
            if (!done)
                PyErr_WriteUnraisable(looks->freed);
            Py_XDECREF(done);
            PyErr_Restore(type, error, trace);
        }
    }
    Py_DECREF(self->pool);
    Py_DECREF(looks);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int Pin_getbuffer(Pin *self, Py_buffer *view, int flags) {
    return PyBuffer_FillInfo(view, (PyObject *)self, self->data, self->size, 1, flags);
}

static PyBufferProcs Pin_buffer = {.bf_getbuffer = (getbufferproc)Pin_getbuffer};

static PyTypeObject Pin_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Pin",
    .tp_basicsize = sizeof(Pin),
    .tp_dealloc = (destructor)Pin_dealloc,
    .tp_as_buffer = &Pin_buffer,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A frame that is looked at.",
};

static Mapped *find_pool(const Looks *self, uint64_t publisher, uint32_t part) {
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (self->pools[i]->publisher == publisher && self->pools[i]->part == part)
            return self->pools[i];
    return NULL;
}

/* Return a frame as an array, pinned; NULL without an error: it was overwritten. What a reference says was checked before, but
 * for the head. */
static PyObject *look(Looks *self, Mapped *pool, const Ref *ref, const char *head) {
    uint64_t bit = (uint64_t)1 << ref->slot;
    uint32_t reader = (uint32_t)self->reader;
    char *block = block_of(pool, ref->slot);
    if (pool->held & bit) /* another thread looks at what is there now */
        return NULL;
    if (!pin_frame(block, reader, ref->serial))
        return NULL;
    Pin *pin = PyObject_New(Pin, &Pin_Type);
    if (!pin) {
        store_byte(block + BLOCK_PINS + reader, 0);
        return NULL;
    }
    pin->pool = (Mapped *)Py_NewRef(pool);
    pin->looks = (Looks *)Py_NewRef(self);
    pin->data = (char *)pool->frames.buf + pool->first + ref->slot * pool->capacity;
    pin->pin = block + BLOCK_PINS + reader;
    pin->size = (Py_ssize_t)ref->length;
    pin->forks = forks;
    pin->bit = bit;
    pool->held |= bit;
    self->alive++;
    /* From here on Python code may run. */
    if (!array_type)
        find_numpy();
    Form *form = form_of_head(&self->forms, head, ref->head);
    PyObject *array;
    if (form && numpy_known && form->size == ref->length) {
        array = array_on(form, pin->data, (PyObject *)pin, false);
    } else {
        array = call_codec("frame", "(y#KOi)", head, (Py_ssize_t)ref->head, (unsigned long long)ref->length, pin, 0);
        Py_DECREF(pin);
    }
    if (array)
        store_relaxed((char *)pool->blocks.buf + FRAMES_TAKEN + 8 * reader, ref->serial + 1);
    return array;
}

static int Looks_init(Looks *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    self->reader = -1;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "", names) ? 0 : -1;
}

static void Looks_forget(Looks *self) {
    Py_ssize_t count = self->count;
    Mapped **pools = self->pools;
    self->count = 0;
    self->pools = NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        Py_DECREF(pools[i]);
    PyMem_Free(pools);
}

static void Looks_dealloc(Looks *self) {
    Looks_forget(self);
    forget_forms(&self->forms);
    Py_XDECREF(self->freed);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Looks_add(Looks *self, PyObject *args) {
    unsigned long long publisher, capacity, first;
    unsigned int part, slots;
    Py_buffer frames, blocks;
    if (!PyArg_ParseTuple(args, "KIy*y*IKK", &publisher, &part, &frames, &blocks, &slots, &capacity, &first))
        return NULL;
    Mapped *pool = NULL;
    Mapped **grown = PyMem_Realloc(self->pools, (size_t)(self->count + 1) * sizeof *grown);
    if (grown)
        self->pools = grown;
    if (slots == 0 || slots > MAX_FRAMES || capacity > (uint64_t)1 << 40 || first > (uint64_t)1 << 40 ||
        (uint64_t)frames.len < first + slots * capacity || (uint64_t)blocks.len < FRAMES_BLOCKS + slots * FRAMES_BLOCK ||
        (self->reader >= 0 && blocks.readonly))
        PyErr_SetString(PyExc_ValueError, "not a pool of this shape");
    else if (grown)
        pool = PyObject_New(Mapped, &Mapped_Type);
    else
        PyErr_NoMemory();
    if (!pool) {
        PyBuffer_Release(&frames);
        PyBuffer_Release(&blocks);
        return NULL;
    }
    pool->frames = frames, pool->blocks = blocks;
    pool->publisher = publisher, pool->part = part;
    pool->slots = slots, pool->capacity = capacity, pool->first = first;
    pool->held = 0;
    self->pools[self->count++] = pool;
    Py_RETURN_NONE;
}

static PyObject *Looks_remove(Looks *self, PyObject *args) {
    unsigned long long publisher;
    unsigned int part;
    if (!PyArg_ParseTuple(args, "KI", &publisher, &part))
        return NULL;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Mapped *pool = self->pools[i];
        if (pool->publisher == publisher && pool->part == part && !pool->held) {
            memmove(&self->pools[i], &self->pools[i + 1], (size_t)(self->count - i - 1) * sizeof pool);
            self->count--;
            Py_DECREF(pool);
            break;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *Looks_pools(Looks *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < self->count; i++) {
        const Mapped *pool = self->pools[i];
        if (pool->held)
            continue;
        PyObject *item = Py_BuildValue("(KI)", (unsigned long long)pool->publisher, pool->part);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* A copy, made between two looks at the word. */
static PyObject *look_without_pin(const Mapped *pool, const Ref *ref, const char *head) {
    const char *block = block_of(pool, ref->slot);
    uint64_t whole = 2 * ref->serial + 2, at = pool->first + ref->slot * pool->capacity;
    if (!holds(block, ref->serial))
        Py_RETURN_NONE;
    PyObject *copy = call_codec("copied_frame", "(y#KOK)", head, (Py_ssize_t)ref->head, (unsigned long long)ref->length,
                                pool->frames.obj, (unsigned long long)at);
    atomic_thread_fence(memory_order_acquire);
    if (copy && load_relaxed(block) != whole)
        Py_SETREF(copy, Py_NewRef(Py_None));
    return copy;
}

static PyObject *Looks_view(Looks *self, PyObject *args) {
    unsigned long long publisher, serial, length;
    Ref ref;
    Py_buffer head;
    if (!PyArg_ParseTuple(args, "KKIIKy*", &publisher, &serial, &ref.part, &ref.slot, &length, &head))
        return NULL;
    ref.publisher = publisher, ref.serial = serial, ref.length = length;
    ref.head = (uint32_t)head.len;
    Mapped *pool = find_pool(self, publisher, ref.part);
    PyObject *array = NULL;
    if (!pool) {
        PyErr_SetString(PyExc_KeyError, "pool");
    } else if (ref.slot >= pool->slots || length > pool->capacity || head.len > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "the reference to a frame does not fit its pool");
    } else {
        Py_INCREF(pool); /* Python code may run */
        array = self->reader < 0 ? look_without_pin(pool, &ref, head.buf) : look(self, pool, &ref, head.buf);
        Py_DECREF(pool);
        if (!array && !PyErr_Occurred())
            array = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&head);
    return array;
}

static PyObject *Looks_close(Looks *self, PyObject *freed) {
    Looks_forget(self);
    Py_XSETREF(self->freed, Py_NewRef(freed));
    return self->alive ? Py_NewRef(Py_None) : PyObject_CallNoArgs(freed);
}

static PyObject *Looks_get_reader(Looks *self, void *Py_UNUSED(closure)) {
    return PyLong_FromLong(self->reader);
}

static int Looks_set_reader(Looks *self, PyObject *value, void *Py_UNUSED(closure)) {
    long reader = value ? PyLong_AsLong(value) : MAX_READERS;
    if (reader < -1 || reader >= MAX_READERS) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "not an entry of a reader");
        return -1;
    }
    self->reader = (int)reader;
    return 0;
}

static PyObject *Looks_get_alive(Looks *self, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(self->alive != 0);
}

static PyMethodDef Looks_methods[] = {
    {"add", (PyCFunction)Looks_add, METH_VARARGS, "Look at frames of this pool, too."},
    {"pools", (PyCFunction)Looks_pools, METH_NOARGS, "Return publisher and part of each pool of which nothing is looked at."},
    {"remove", (PyCFunction)Looks_remove, METH_VARARGS, "Let go of a pool, unless something of it is looked at."},
    {"view", (PyCFunction)Looks_view, METH_VARARGS, "Return a frame as an array; None when it was overwritten meanwhile."},
    {"forked", nothing_forked, METH_NOARGS, "Begin anew in a child."},
    {"close", (PyCFunction)Looks_close, METH_O, "Let go of the pools; the function is called when the last array has gone."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Looks_getset[] = {
    {"reader", (getter)Looks_get_reader, (setter)Looks_set_reader, "the reader's entry, -1: none", NULL},
    {"alive", (getter)Looks_get_alive, NULL, "whether an array that was received still lives", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject Looks_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Looks",
    .tp_basicsize = sizeof(Looks),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "What one reader has pinned, in the pools that it has mapped.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Looks_init,
    .tp_dealloc = (destructor)Looks_dealloc,
    .tp_methods = Looks_methods,
    .tp_getset = Looks_getset,
};
