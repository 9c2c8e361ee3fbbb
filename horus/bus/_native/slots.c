/* The slots of a publisher's pools, and which one is taken; the twin in Python is ../pure/slots.py.
 *
 * A slot is claimed when nobody has pinned it: its word becomes odd, then the pins are looked at once more. A reader does it the
 * other way round, so one of the two sees the other. Nothing here waits, and nothing runs Python code.
 */
#include "shared.h"

#define MOST_WARM 16 /* frames that are looked at, from the newest on, for one that all have taken: it is still warm */

typedef struct Pool Pool;

typedef struct Slot {
    struct Slot *older, *newer; /* of those that were sent; the free ones are a chain of older */
    Pool *pool;
    char *block, *data;
    uint64_t serial;
    uint32_t index;
    enum { FREE, CLAIMED, SENT } state;
} Slot;

struct Pool {
    Py_buffer memory;
    uint64_t capacity;
    uint32_t part, slots, claimed;
    Slot slot[];
};

typedef struct {
    PyObject_HEAD
    Py_buffer control;
    uint64_t publisher, serial;
    Pool **pools;
    Py_ssize_t count;
    Slot *oldest, *newest, *free;
    uint64_t sent; /* slots from oldest to newest */
    bool dead;     /* they belong to the parent of this process */
} Slots;

static inline bool nobody_looks(const char *block) {
    uint64_t any = 0;
#ifdef __SANITIZE_THREAD__ /* which knows an order only between accesses of one size */
    for (size_t i = 0; i < MAX_READERS; i++)
        any |= (uint64_t)atomic_load_explicit((const _Atomic char *)(block + BLOCK_PINS + i), memory_order_acquire);
#else
    for (size_t i = 0; i < MAX_READERS; i += 8)
        any |= load_relaxed(block + BLOCK_PINS + i);
    atomic_thread_fence(memory_order_acquire);
#endif
    return !any;
}

/* Make a slot ours, unless a reader has pinned it. */
static inline bool claim_block(char *block, uint64_t serial) {
    if (!nobody_looks(block))
        return false;
    uint64_t before = load_relaxed(block);
    store_relaxed(block, 2 * serial + 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (nobody_looks(block))
        return true;
    store_relaxed(block, before); /* a reader came in between */
    return false;
}

static inline void finish_block(char *block, uint64_t serial) {
    store_release(block, 2 * serial + 2);
}

static void append_sent(Slots *self, Slot *slot) {
    slot->state = SENT;
    slot->older = self->newest;
    slot->newer = NULL;
    *(self->newest ? &self->newest->newer : &self->oldest) = slot;
    self->newest = slot;
    self->sent++;
}

static void remove_sent(Slots *self, Slot *slot) {
    *(slot->older ? &slot->older->newer : &self->oldest) = slot->newer;
    *(slot->newer ? &slot->newer->older : &self->newest) = slot->older;
    self->sent--;
}

static void give_back(Slots *self, Slot *slot) {
    slot->pool->claimed--;
    slot->state = FREE;
    slot->older = self->free;
    self->free = slot;
}

/* The number of the first frame of a pool that some reader may not have taken. */
static uint64_t taken_of(const Slots *self, const Pool *pool) {
    const char *control = self->control.buf, *words = (const char *)pool->memory.buf + FRAMES_TAKEN;
    if (load_half(control + CONTROL_UNLISTED))
        return 0;
    uint32_t readers = load_half(control + CONTROL_READERS);
    uint64_t taken = self->serial;
    for (uint32_t i = 0; i < readers && i < MAX_READERS; i++)
        if (load_half(control + CONTROL_ENTRIES + i * ENTRY_SIZE)) {
            uint64_t of_reader = load_relaxed(words + 8 * i);
            if (of_reader < taken)
                taken = of_reader;
        }
    return taken;
}

/* Ask for what take_warm will look at: all of it was last written by a reader. */
static inline void fetch_warm(const Slots *self) {
    const Slot *slot = self->newest ? self->newest->older : NULL;
    if (!slot)
        return;
    fetch_line((const char *)slot->pool->memory.buf + FRAMES_TAKEN);
    fetch_line_to_write(slot->block);
    fetch_line(slot->block + BLOCK_PINS);
    fetch_line_to_write(slot->data);
}

/* The newest frame but one that everybody has taken and nobody looks at. */
static Slot *take_warm(Slots *self, uint64_t size) {
    const Pool *pool = NULL;
    uint64_t taken = 0;
    Slot *slot = self->newest ? self->newest->older : NULL;
    for (int i = 0; slot && i < MOST_WARM; i++, slot = slot->older) {
        if (slot->pool != pool) {
            pool = slot->pool;
            taken = taken_of(self, pool);
        }
        if (slot->serial < taken && pool->capacity >= size && claim_block(slot->block, self->serial)) {
            remove_sent(self, slot);
            return slot;
        }
    }
    return NULL;
}

static Slot *take_free(Slots *self, uint64_t size) {
    for (Slot **at = &self->free; *at; at = &(*at)->older)
        if ((*at)->pool->capacity >= size && claim_block((*at)->block, self->serial)) {
            Slot *slot = *at;
            *at = slot->older;
            return slot;
        }
    return NULL;
}

/* The oldest frame that nobody looks at, but none of the newest `keep`. */
static Slot *take_old(Slots *self, uint64_t size, uint64_t keep) {
    Slot *slot = self->oldest;
    for (uint64_t left = self->sent; slot && left > keep; left--, slot = slot->newer)
        if (slot->pool->capacity >= size && claim_block(slot->block, self->serial)) {
            remove_sent(self, slot);
            return slot;
        }
    return NULL;
}

static inline uint64_t depth_of(const Slots *self) {
    uint32_t depth = load_half((const char *)self->control.buf + CONTROL_DEPTH);
    return depth ? depth : 1;
}

/* Return a slot for so many bytes that is ours to write, or NULL. */
static Slot *claim_slot(Slots *self, uint64_t size, bool anything) {
    Slot *slot = NULL;
    if (self->dead || size > MAX_MESSAGE)
        return NULL;
    if (!anything && !(slot = take_warm(self, size)))
        slot = take_free(self, size);
    if (!slot && !(slot = take_old(self, size, anything ? 0 : depth_of(self))))
        return NULL;
    slot->state = CLAIMED;
    slot->pool->claimed++;
    return slot;
}

/* Publish a slot that was filled. */
static void finish_slot(Slots *self, Slot *slot) {
    slot->serial = self->serial++;
    finish_block(slot->block, slot->serial);
    slot->pool->claimed--;
    append_sent(self, slot);
}

/* Whether something lies in one of the pools, as what was lent does. */
static bool lies_in(const Slots *self, const char *data) {
    for (Py_ssize_t i = 0; i < self->count; i++) {
        const char *memory = self->pools[i]->memory.buf;
        if (data >= memory && data < memory + self->pools[i]->memory.len)
            return true;
    }
    return false;
}

static Ref ref_to(const Slots *self, const Slot *slot, uint64_t size, size_t head, size_t rest) {
    return (Ref){.publisher = self->publisher,
                 .serial = slot->serial,
                 .part = slot->pool->part,
                 .slot = slot->index,
                 .length = size,
                 .head = (uint32_t)head,
                 .rest = (uint32_t)rest};
}

/* ---- for Python, which knows a claimed slot by a number ----------------------------------- */

static int Slots_init(Slots *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"control", "publisher", NULL};
    unsigned long long publisher;
    Py_buffer control;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*K", names, &control, &publisher))
        return -1;
    if (control.len < CONTROL_SIZE || self->control.obj) {
        PyBuffer_Release(&control);
        PyErr_SetString(PyExc_ValueError, "not a control file");
        return -1;
    }
    self->control = control;
    self->publisher = publisher;
    return 0;
}

static void free_pool(Pool *pool) {
    PyBuffer_Release(&pool->memory);
    PyMem_Free(pool);
}

static void Slots_dealloc(Slots *self) {
    for (Py_ssize_t i = 0; i < self->count; i++)
        free_pool(self->pools[i]);
    PyMem_Free(self->pools);
    let_go(&self->control);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Slots_add(Slots *self, PyObject *args) {
    unsigned long long capacity, first;
    unsigned int part, slots;
    Py_buffer memory;
    if (!PyArg_ParseTuple(args, "w*IIKK", &memory, &part, &slots, &capacity, &first))
        return NULL;
    Pool *pool = NULL;
    Pool **grown = PyMem_Realloc(self->pools, (size_t)(self->count + 1) * sizeof *grown);
    if (grown)
        self->pools = grown;
    if (slots == 0 || slots > MAX_FRAMES || part > UINT32_MAX / MAX_FRAMES || capacity > (uint64_t)1 << 40 ||
        first < FRAMES_BLOCKS + (uint64_t)slots * FRAMES_BLOCK || (uint64_t)memory.len < first ||
        ((uint64_t)memory.len - first) / slots < capacity)
        PyErr_SetString(PyExc_ValueError, "not a pool of this shape");
    else if (!grown || !(pool = PyMem_Calloc(1, sizeof(Pool) + slots * sizeof(Slot))))
        PyErr_NoMemory();
    if (!pool) {
        PyBuffer_Release(&memory);
        return NULL;
    }
    pool->memory = memory;
    pool->capacity = capacity;
    pool->part = part, pool->slots = slots;
    for (uint32_t i = 0; i < slots; i++) {
        Slot *slot = &pool->slot[i];
        slot->pool = pool;
        slot->index = i;
        slot->block = (char *)memory.buf + FRAMES_BLOCKS + (size_t)i * FRAMES_BLOCK;
        slot->data = (char *)memory.buf + first + i * capacity;
        slot->older = self->free;
        self->free = slot;
    }
    self->pools[self->count++] = pool;
    Py_RETURN_NONE;
}

static PyObject *Slots_remove(Slots *self, PyObject *given) {
    unsigned long part = PyLong_AsUnsignedLong(given);
    if (part == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    Py_ssize_t at = 0;
    while (at < self->count && self->pools[at]->part != part)
        at++;
    if (at == self->count || self->pools[at]->claimed) {
        PyErr_SetString(PyExc_ValueError, "no such pool, or it is being written");
        return NULL;
    }
    Pool *pool = self->pools[at];
    for (uint32_t i = 0; i < pool->slots; i++)
        if (pool->slot[i].state == SENT)
            remove_sent(self, &pool->slot[i]);
    for (Slot **free = &self->free; *free;)
        if ((*free)->pool == pool)
            *free = (*free)->older;
        else
            free = &(*free)->older;
    memmove(&self->pools[at], &self->pools[at + 1], (size_t)(self->count - at - 1) * sizeof pool);
    self->count--;
    free_pool(pool);
    Py_RETURN_NONE;
}

static PyObject *Slots_pools(Slots *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < self->count; i++) {
        const Pool *pool = self->pools[i];
        bool needed = pool->claimed;
        const Slot *slot = self->newest;
        for (uint64_t depth = depth_of(self); slot && depth-- && !needed; slot = slot->older)
            needed = slot->pool == pool;
        PyObject *item = Py_BuildValue("(IIKN)", pool->part, pool->slots, (unsigned long long)pool->capacity,
                                       PyBool_FromLong(needed));
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *Slots_claim(Slots *self, PyObject *args) {
    unsigned long long size;
    int anything = 0;
    if (!PyArg_ParseTuple(args, "K|p", &size, &anything))
        return NULL;
    const Slot *slot = claim_slot(self, size, anything);
    return PyLong_FromLong(slot ? (long)slot->pool->part * MAX_FRAMES + (long)slot->index : -1);
}

/* Return the claimed slot of a number; NULL with an error if it is none. */
static Slot *claimed_slot(Slots *self, unsigned long number) {
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Pool *pool = self->pools[i];
        if (pool->part == number / MAX_FRAMES && number % MAX_FRAMES < pool->slots &&
            pool->slot[number % MAX_FRAMES].state == CLAIMED)
            return &pool->slot[number % MAX_FRAMES];
    }
    PyErr_SetString(PyExc_KeyError, "no slot of this number is claimed");
    return NULL;
}

static PyObject *Slots_place(Slots *self, PyObject *args) {
    unsigned long number;
    if (!PyArg_ParseTuple(args, "k", &number))
        return NULL;
    const Slot *slot = claimed_slot(self, number);
    return slot ? Py_BuildValue("(On)", slot->pool->memory.obj, (Py_ssize_t)(slot->data - (char *)slot->pool->memory.buf)) : NULL;
}

static PyObject *Slots_finish(Slots *self, PyObject *args) {
    unsigned long number;
    unsigned long long size;
    const char *head, *rest = "";
    Py_ssize_t head_size, rest_size = 0;
    if (!PyArg_ParseTuple(args, "ky#K|y#", &number, &head, &head_size, &size, &rest, &rest_size))
        return NULL;
    Slot *slot = claimed_slot(self, number);
    PyObject *payload = slot ? PyBytes_FromStringAndSize(NULL, REF_SIZE + head_size + rest_size) : NULL;
    if (!payload)
        return NULL;
    if (!self->dead)
        finish_slot(self, slot);
    Ref ref = ref_to(self, slot, size, (size_t)head_size, (size_t)rest_size);
    char *to = PyBytes_AS_STRING(payload);
    memcpy(to, &ref, REF_SIZE);
    memcpy(to + REF_SIZE, head, (size_t)head_size);
    memcpy(to + REF_SIZE + head_size, rest, (size_t)rest_size);
    return payload;
}

static PyObject *Slots_give_back(Slots *self, PyObject *args) {
    unsigned long number;
    if (!PyArg_ParseTuple(args, "k", &number))
        return NULL;
    Slot *slot = claimed_slot(self, number);
    if (!slot)
        return NULL;
    give_back(self, slot);
    Py_RETURN_NONE;
}

static PyObject *Slots_clear(Slots *self, PyObject *args) {
    const char *dead;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#", &dead, &size))
        return NULL;
    for (Py_ssize_t i = 0; i < self->count; i++)
        for (uint32_t j = 0; j < self->pools[i]->slots; j++)
            for (Py_ssize_t reader = 0; reader < size && reader < MAX_READERS; reader++)
                if (dead[reader])
                    store_byte(self->pools[i]->slot[j].block + BLOCK_PINS + reader, 0);
    Py_RETURN_NONE;
}

static PyObject *Slots_busy(Slots *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    Py_RETURN_FALSE; /* what is done here is done before a signal handler runs */
}

static PyObject *Slots_leave(Slots *self, PyObject *Py_UNUSED(ignored)) {
    self->dead = true;
    Py_RETURN_NONE;
}

static PyMethodDef Slots_methods[] = {
    {"add", (PyCFunction)Slots_add, METH_VARARGS, "Take the slots of a new pool, too."},
    {"remove", (PyCFunction)Slots_remove, METH_O, "Take no slot of a pool any more."},
    {"pools", (PyCFunction)Slots_pools, METH_NOARGS, "Return part, slots, capacity and whether it is needed of each pool."},
    {"claim", (PyCFunction)Slots_claim, METH_VARARGS, "Return the number of a slot that is ours to write; -1: there is none."},
    {"place", (PyCFunction)Slots_place, METH_VARARGS, "Return the memory of a claimed slot, and where in it the slot begins."},
    {"finish", (PyCFunction)Slots_finish, METH_VARARGS, "Publish a slot that was filled; return the payload that says so."},
    {"give_back", (PyCFunction)Slots_give_back, METH_VARARGS, "Take back a slot that was claimed and not published."},
    {"clear", (PyCFunction)Slots_clear, METH_VARARGS, "Clear the pins of readers: of each whose byte is not 0."},
    {"busy", (PyCFunction)Slots_busy, METH_NOARGS, "Return whether this thread is in the middle of a change here."},
    {"leave", (PyCFunction)Slots_leave, METH_NOARGS, "Write into no slot any more."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject Slots_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Slots",
    .tp_basicsize = sizeof(Slots),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The slots of one publisher; a claimed one is known by a number.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Slots_init,
    .tp_dealloc = (destructor)Slots_dealloc,
    .tp_methods = Slots_methods,
};
