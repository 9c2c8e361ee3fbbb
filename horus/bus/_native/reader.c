/* The reading end: a cursor in each publisher's ring.
 *
 * Nothing in shared memory is trusted: shapes were checked when a ring was mapped and are kept here, the rest is checked at each
 * use. Nothing is decoded before the copy is known to be whole.
 */
#include "shared.h"

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
    Layouts last;       /* of the declared messages seen on an undeclared topic */
    PyObject *rescan, *decode, *mismatch, *corrupt, *on_drop;
    uint64_t generation, dropped, last_stamp, depth;
    bool told; /* on_drop was called */
    PyObject *trouble; /* what went wrong after messages were read that must not be lost with it; raised by the next call */
    Py_ssize_t count;
    Ring *rings;
    Kept kept;
    Looks *looks; /* or NULL: Python looks at frames */
    Forms forms;
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
    KEEP(rescan), KEEP(decode), KEEP(mismatch), KEEP(corrupt), KEEP(on_drop);
    return spec != Py_None && !(self->declared = (PyObject *)new_layout(spec)) ? -1 : 0;
}

static int Reader_traverse(Reader *self, visitproc visit, void *arg) {
    Py_VISIT(self->control.obj);
    for (Py_ssize_t i = 0; i < self->count; i++)
        Py_VISIT(self->rings[i].memory.obj);
    Py_VISIT(self->rescan); Py_VISIT(self->decode); Py_VISIT(self->mismatch);
    Py_VISIT(self->corrupt); Py_VISIT(self->on_drop); Py_VISIT(self->trouble);
    return visit_kept(&self->kept, visit, arg);
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
    let_go(&self->control);
    forget_kept(&self->kept);
    forget_forms(&self->forms);
    Py_CLEAR(self->declared); forget_layouts(&self->last); Py_CLEAR(self->looks);
    Py_CLEAR(self->rescan); Py_CLEAR(self->decode); Py_CLEAR(self->mismatch);
    Py_CLEAR(self->corrupt); Py_CLEAR(self->on_drop); Py_CLEAR(self->trouble);
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
    if (!self->control.buf) { /* a method that was bound before: Python has the words */
        PyObject *none = self->rescan ? PyObject_CallNoArgs(self->rescan) : NULL;
        Py_XDECREF(none);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "this reader is closed");
        return -1;
    }
    uint64_t generation = load_acquire((char *)self->control.buf + CONTROL_GENERATION);
    if (generation == self->generation)
        return 0;
    if (self->trouble) {
        self->generation++; /* as it was before `postpone` */
        PyErr_SetObject((PyObject *)Py_TYPE(self->trouble), self->trouble);
        Py_CLEAR(self->trouble);
        return -1;
    }
    self->generation = generation; /* noted first: a change during the scan is seen at the next call */
    PyObject *done = PyObject_CallNoArgs(self->rescan);
    if (!done)
        return -1;
    Py_DECREF(done);
    return 0;
}

/* Let the next call raise the present error. */
static void postpone(Reader *self) {
    PyObject *error;
#if PY_VERSION_HEX >= 0x030c0000
    error = PyErr_GetRaisedException();
#else
    PyObject *type, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace)
        PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
#endif
    Py_XSETREF(self->trouble, error);
    self->generation--; /* so that the next call looks */
}

static PyObject *Reader_look_again(Reader *self, PyObject *Py_UNUSED(ignored)) {
    self->generation--;
    Py_RETURN_NONE;
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
        if (lost && end >> 63) /* its sequence words would start anew */
            return damaged(self, ring, "its message counter is %llu", end);
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

typedef struct {
    uint64_t stamp, hash;
    uint32_t length, kind;
} Head;

/* Read what a slot says about its message; the length can be relied on. */
static inline Outcome read_head(Reader *self, Ring *ring, uint64_t number, Head *head) {
    Outcome outcome = check_slot(self, ring, number);
    if (outcome != FOUND)
        return outcome;
    const char *slot = slot_of(ring, number);
    copy_slot(&head->stamp, slot + SLOT_STAMP, 8);
    copy_slot(&head->hash, slot + SLOT_HASH, 8);
    copy_slot(&head->length, slot + SLOT_LENGTH, 4);
    copy_slot(&head->kind, slot + SLOT_KIND, 4);
    if (head->length <= ring->stride - SLOT_HEADER)
        return FOUND;
    return still_whole(ring, number) ? damaged(self, ring, "the length of message %llu is wrong", number) : OVERWRITTEN;
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
static PyObject *decode_slowly(PyObject *how, uint32_t kind, uint64_t hash, const char *data, Py_ssize_t length) {
    PyObject *payload = PyByteArray_FromStringAndSize(data, length);
    if (!payload)
        return NULL;
    PyObject *result = PyObject_CallFunction(how, "IKO", kind, (unsigned long long)hash, payload);
    Py_DECREF(payload);
    return result;
}

/* Note the class of declared messages that Python has decoded; the next ones are decoded here. */
static PyObject *note_layout(Reader *self, PyObject *message) {
    if (message && message != Py_NotImplemented && !self->declared) {
        Layout *seen = layout_of(Py_TYPE(message));
        if (seen)
            keep_layout(&self->last, seen);
        else
            PyErr_Clear();
    }
    return message;
}

static PyObject *decode_struct(Reader *self, uint64_t hash, const char *data, uint32_t length) {
    Layout *layout = self->declared ? (Layout *)self->declared : layout_with_hash(&self->last, hash);
    if (layout && layout->hash == hash && layout->direct && layout->size == length) {
        PyObject *again = take_kept(&self->kept, layout);
        PyObject *message = unpack_direct(layout, data, again);
        if (message) {
            if (!again && layout->only_fields && !layout->cls->tp_finalize)
                keep(&self->kept, message);
            return message;
        }
        PyErr_Clear(); /* the slow way finds the same fault and has words for it */
    }
    return note_layout(self, decode_slowly(self->decode, KIND_STRUCT, hash, data, length));
}

/* Look at a frame, and make the message that it belongs to, if it does; NULL with or without an error: Python does it, or finds
 * the words. */
static PyObject *decode_frame(Reader *self, uint64_t hash, const char *data, uint32_t length) {
    Ref ref;
    Layout *layout = !hash ? NULL : self->declared ? (Layout *)self->declared : layout_with_hash(&self->last, hash);
    if (!self->looks || self->looks->reader < 0 || length < REF_SIZE)
        return NULL;
    memcpy(&ref, data, REF_SIZE);
    if ((uint64_t)ref.head + ref.rest != length - REF_SIZE)
        return NULL;
    if (hash ? !layout || layout->hash != hash || !layout->frame_place || layout->size != ref.rest : ref.rest != 0)
        return NULL;
    Mapped *pool = find_pool(self->looks, ref.publisher, ref.part);
    if (!pool || ref.slot >= pool->slots || ref.length > pool->capacity)
        return NULL;
    fetch_frame(self->looks, pool, ref.slot);
    Py_INCREF(pool); /* Python code may run */
    Py_XINCREF(layout);
    PyObject *message = look(self->looks, pool, &ref, data + REF_SIZE);
    Py_DECREF(pool);
    if (!message && !PyErr_Occurred()) {
        message = Py_NewRef(Py_NotImplemented);
    } else if (message && layout) {
        PyObject *array = message;
        message = unpack_direct(layout, data + REF_SIZE + ref.head, NULL);
        if (message)
            *(PyObject **)((char *)message + layout->frame_place) = array;
        else
            Py_DECREF(array);
    }
    Py_XDECREF(layout);
    return message;
}

/* Make the array of a small message; NULL, without an error: Python does it, or finds the words. */
static PyObject *decode_array(Reader *self, const char *data, uint32_t length) {
    if (length < 8)
        return NULL;
    size_t head = 8 + 8 * (size_t)(unsigned char)data[1] + (unsigned char)data[0], start = (head + 15) & ~(size_t)15;
    if (length < start)
        return NULL;
    if (!array_type)
        find_numpy();
    const Form *form = numpy_known ? form_of_head(&self->forms, data, head) : NULL;
    return form && form->size && form->size == length - start ? array_with(form, data + start) : NULL;
}

/* Turn a whole copy of a payload into the message. */
static PyObject *decode_message(Reader *self, uint32_t kind, uint64_t hash, const char *copy, uint32_t length, PyObject *array) {
    if (self->declared && ((kind != KIND_STRUCT && kind != KIND_FRAME) || hash != ((Layout *)self->declared)->hash))
        return decode_slowly(self->mismatch, kind, hash, copy, length);
    if (kind == KIND_STRUCT)
        return decode_struct(self, hash, copy, length);
    if (array)
        return PyObject_CallFunction(self->decode, "IKO", kind, (unsigned long long)hash, array);
    PyObject *message = NULL;
    if (kind == KIND_MSGPACK)
        message = plain_decode(copy, length);
    else if (kind == KIND_FRAME)
        message = decode_frame(self, hash, copy, length);
    else if (kind == KIND_ARRAY)
        message = decode_array(self, copy, length);
    if (!message && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) /* Ctrl-C */
            return NULL;
        PyErr_Clear();
    }
    if (message)
        return message;
    message = decode_slowly(self->decode, kind, hash, copy, length);
    return kind == KIND_FRAME && hash ? note_layout(self, message) : message;
}

/* Copy message `number` out, make sure that it is whole, move the cursors by `advance`, decode it. */
static Outcome take(Reader *self, Ring *ring, uint64_t number, bool newest, PyObject **message, uint64_t *stamp) {
    Head head;
    Outcome outcome = read_head(self, ring, number, &head);
    if (outcome != FOUND)
        return outcome;
    uint32_t length = head.length, kind = head.kind;
    *stamp = head.stamp;
    char small[ON_STACK], *copy = small;
    PyObject *array = NULL;
    if (kind == KIND_ARRAY && length > ON_STACK) { /* the array keeps the copy as its memory */
        if (!(array = PyByteArray_FromStringAndSize(NULL, length)))
            return FAILED;
        copy = PyByteArray_AS_STRING(array);
    } else if (length > ON_STACK && !(copy = PyMem_Malloc(length))) {
        PyErr_NoMemory();
        return FAILED;
    }
    copy_slot(copy, slot_of(ring, number) + SLOT_HEADER, length);
    Outcome result = OVERWRITTEN;
    if (still_whole(ring, number)) {
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
        uint64_t publisher = ring->publisher;
        if (self->dropped && !self->told && tell_drop(self) < 0) {
            result = FAILED;
            Ring *same = newest ? NULL : find_ring(self, publisher);
            if (same && same->cursor == number + 1)
                same->cursor = number; /* the message is still to be received */
        } else
            result = (*message = decode_message(self, kind, head.hash, copy, length, array)) ? FOUND : FAILED;
        if (result == FOUND && *message == Py_NotImplemented) { /* a frame that was overwritten meanwhile */
            Py_CLEAR(*message);
            self->dropped++;
            result = !self->told && tell_drop(self) < 0 ? FAILED : OVERWRITTEN;
        }
    }
    Py_XDECREF(array);
    if (!array && copy != small)
        PyMem_Free(copy);
    return result;
}

/* Receive the next message. With `known`, what was there at the last look is read before the publisher's counter is looked at
 * again: its line is then left to the publisher. What was overwritten meanwhile shows in the slot, and is counted then. */
static inline Outcome receive(Reader *self, bool known, PyObject **message, uint64_t *stamp) {
    for (;; known = false) {
        Ring *ring = self->rings;
        Outcome outcome = FOUND;
        if (self->count != 1) {
            outcome = oldest(self, &ring);
        } else if (!known || ring->cursor >= ring->end || ring->cursor < ring->base) {
            uint64_t unread = 0;
            outcome = available(self, ring, &unread);
            if (outcome == FOUND && !unread)
                outcome = NOTHING;
        }
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
    Outcome outcome = receive(self, false, &message, &stamp);
    if (outcome == NOTHING)
        Py_RETURN_NONE;
    return outcome == FOUND ? message : NULL;
}

static PyObject *Reader_recv_stamped(Reader *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *message = NULL;
    uint64_t stamp = 0;
    if (refresh(self) < 0)
        return NULL;
    Outcome outcome = receive(self, false, &message, &stamp);
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
    bool known = false;
    keep_more(&self->kept, count + 1);
    while (list && count--) {
        PyObject *message = NULL;
        Outcome outcome = receive(self, known, &message, &stamp);
        if (outcome == NOTHING)
            break;
        if (outcome == FAILED && PyList_GET_SIZE(list) && PyErr_ExceptionMatches(PyExc_Exception)) {
            postpone(self);
            break;
        }
        if (outcome != FOUND || PyList_Append(list, message) < 0)
            Py_CLEAR(list);
        Py_XDECREF(message);
        known = true;
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
            if (ring->end >> 63) {
                outcome = damaged(self, ring, "its message counter is %llu", ring->end);
                break;
            }
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
    int overflow;
    long long given = PyLong_AsLongLongAndOverflow(arg, &overflow);
    if (given == -1 && PyErr_Occurred())
        return NULL;
    /* Before the clock's beginning there is nothing, and nothing after its end. */
    bool all = overflow > 0;
    uint64_t limit = overflow || given < 0 ? 0 : (uint64_t)given;
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
        if (outcome == NOTHING || (stamp >= limit && !all))
            return PyLong_FromUnsignedLongLong(count);
        ring->cursor++;
        count++;
        if (stamp > self->last_stamp)
            self->last_stamp = stamp;
    }
}

static PyObject *Reader_look_with(Reader *self, PyObject *looks) {
    if (!PyObject_TypeCheck(looks, &Looks_Type)) {
        PyErr_SetString(PyExc_TypeError, "not the Looks of this core");
        return NULL;
    }
    Py_XSETREF(self->looks, (Looks *)Py_NewRef(looks));
    Py_RETURN_NONE;
}

static PyObject *Reader_close(Reader *self, PyObject *Py_UNUSED(ignored)) {
    drop_rings(self);
    let_go(&self->control);
    forget_kept(&self->kept);
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
    {"look_with", (PyCFunction)Reader_look_with, METH_O, "Look at frames by this, where nothing is to be done before."},
    {"look_again", (PyCFunction)Reader_look_again, METH_NOARGS, "Have the next call look for rings."},
    {"forked", nothing_forked, METH_NOARGS, "Begin anew in a child."},
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

