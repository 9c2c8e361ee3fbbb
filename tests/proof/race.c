/* The core's own functions on rings and frames, raced by threads that hold no GIL: module _race, built by sanitize.py.
 *
 * race(messages, publishers, slots) lets each publisher send so many messages through a ring of its own, each ring read by two
 * readers of which one merges all rings by their stamps. It returns (received, lost, torn, disordered, miscounted, damaged).
 *
 * frames(count, slots, readers, pinned) lets one publisher write so many frames into its slots while readers look at the newest,
 * pinned or, to show what would be wrong then, not. It returns (looks, overwritten, torn, without a slot).
 */
#include "module.c"

#include <pthread.h>
#include <sched.h>

#define STRIDE 256
#define WORDS ((STRIDE - SLOT_HEADER) / 8)
#define MOST 4

typedef struct {
    Writer writer;
    pthread_t thread;
    uint64_t messages;
    atomic_bool *over;
} Publishing;

typedef struct {
    Reader reader;
    Ring rings[MOST];
    pthread_t thread;
    uint64_t messages, received, torn, disordered, damaged;
    atomic_bool *over;
} Reading;

static uint64_t pattern(uint64_t publisher, uint64_t number, int word) {
    return (number * 0x9e3779b97f4a7c15u) ^ (publisher << 56) ^ (uint64_t)word;
}

static void *send_all(void *argument) {
    Publishing *me = argument;
    Writer *writer = &me->writer;
    uint64_t publisher = writer->depth; /* of no other use here */
    for (uint64_t number = 0; number < me->messages; number++) {
        uint64_t payload[WORDS];
        uint32_t words = 2 + number % (WORDS - 1);
        payload[0] = number;
        for (uint32_t i = 1; i < words; i++)
            payload[i] = pattern(publisher, number, (int)i);
        char *slot = begin(writer);
        describe(slot, monotonic_ns(), publisher, words * 8, KIND_STRUCT);
        copy_slot(slot + SLOT_HEADER, payload, words * 8);
        show(writer, slot);
        if (number % 1024 == 1023)
            sched_yield(); /* else a reader hardly gets a whole message */
    }
    return NULL;
}

static void judge(Reading *me, const Head *head, const uint64_t *payload, uint64_t *newest) {
    uint32_t words = head->length / 8;
    uint64_t number = payload[0], publisher = head->hash;
    me->received++;
    bool whole = publisher < MOST && head->kind == KIND_STRUCT && words == 2 + number % (WORDS - 1);
    for (uint32_t i = 1; whole && i < words; i++)
        whole = payload[i] == pattern(publisher, number, (int)i);
    if (!whole) {
        me->torn++;
        return;
    }
    me->disordered += newest[publisher] != 0 && number + 1 <= newest[publisher];
    newest[publisher] = number + 1;
}

static void *read_all(void *argument) {
    Reading *me = argument;
    Reader *reader = &me->reader;
    uint64_t newest[MOST] = {0};
    for (;;) {
        bool over = atomic_load_explicit(me->over, memory_order_acquire);
        Ring *ring;
        Head head;
        uint64_t payload[WORDS];
        Outcome outcome = oldest(reader, &ring);
        if (outcome == FOUND)
            outcome = read_head(reader, ring, ring->cursor, &head);
        if (outcome == FOUND) {
            copy_slot(payload, slot_of(ring, ring->cursor) + SLOT_HEADER, head.length);
            if (!still_whole(ring, ring->cursor))
                continue;
            ring->cursor++;
            judge(me, &head, payload, newest);
        } else if (outcome == FAILED) {
            me->damaged++; /* damaged() has touched Python: nothing more can be relied on */
            return NULL;
        } else if (outcome == NOTHING && over) {
            return NULL;
        }
    }
}

static PyObject *race(PyObject *Py_UNUSED(self), PyObject *args) {
    unsigned long long messages;
    unsigned int publishers, slots;
    if (!PyArg_ParseTuple(args, "KII", &messages, &publishers, &slots))
        return NULL;
    if (publishers < 1 || publishers > MOST || slots < 4 || (slots & (slots - 1)))
        return PyErr_Format(PyExc_ValueError, "1 to %d publishers, slots a power of two", MOST);
    size_t size = RING_HEADER + (size_t)slots * STRIDE;
    char *control = aligned_alloc(64, CONTROL_SIZE), *memory[MOST] = {0};
    static Publishing publishing[MOST];
    static Reading reading[2];
    atomic_bool over = false;
    memset(control, 0, CONTROL_SIZE);
    memset(publishing, 0, sizeof publishing);
    memset(reading, 0, sizeof reading);
    for (uint32_t i = 0; i < publishers; i++) {
        memory[i] = aligned_alloc(64, size);
        memset(memory[i], 0, size);
        Writer *writer = &publishing[i].writer;
        writer->control.buf = control;
        writer->ring.buf = memory[i];
        writer->mask = slots - 1;
        writer->stride = STRIDE;
        writer->depth = i;
        publishing[i].messages = messages;
        for (int r = 0; r < 2; r++) {
            Ring *ring = &reading[r].rings[i];
            ring->publisher = i;
            ring->memory.buf = memory[i];
            ring->mask = slots - 1;
            ring->stride = STRIDE;
            ring->limit = slots - 1;
        }
    }
    for (int r = 0; r < 2; r++) {
        reading[r].reader.rings = reading[r].rings;
        reading[r].reader.count = r ? 1 : publishers; /* one merges all, one follows the first as fast as it can */
        reading[r].reader.depth = r ? slots : 4 * slots;
        reading[r].reader.told = true;
        reading[r].over = &over;
    }
    Py_BEGIN_ALLOW_THREADS
    for (int r = 0; r < 2; r++)
        pthread_create(&reading[r].thread, NULL, read_all, &reading[r]);
    for (uint32_t i = 0; i < publishers; i++)
        pthread_create(&publishing[i].thread, NULL, send_all, &publishing[i]);
    for (uint32_t i = 0; i < publishers; i++)
        pthread_join(publishing[i].thread, NULL);
    atomic_store_explicit(&over, true, memory_order_release);
    for (int r = 0; r < 2; r++)
        pthread_join(reading[r].thread, NULL);
    Py_END_ALLOW_THREADS
    uint64_t received = 0, lost = 0, torn = 0, disordered = 0, miscounted = 0, damages = 0;
    for (int r = 0; r < 2; r++) {
        received += reading[r].received;
        lost += reading[r].reader.dropped;
        torn += reading[r].torn;
        disordered += reading[r].disordered;
        damages += reading[r].damaged;
        miscounted += reading[r].received + reading[r].reader.dropped != messages * (r ? 1 : publishers);
    }
    for (uint32_t i = 0; i < publishers; i++)
        free(memory[i]);
    free(control);
    return Py_BuildValue("(KKKKKK)", (unsigned long long)received, (unsigned long long)lost, (unsigned long long)torn,
                         (unsigned long long)disordered, (unsigned long long)miscounted, (unsigned long long)damages);
}

/* ---- frames ----------------------------------------------------------------------------- */

#define FRAME_WORDS 512
#define MOST_LOOKERS 8

typedef struct {
    Slots slots;
    Pool *pool;
    pthread_t thread;
    uint64_t count, full;
    _Atomic uint64_t told; /* 1 + the number of the newest frame * MAX_FRAMES + its slot */
    atomic_bool over;
} Framing;

typedef struct {
    Framing *framing;
    pthread_t thread;
    uint32_t entry;
    bool pinned;
    uint64_t looks, overwritten, torn;
} Looking;

static void *write_frames(void *argument) {
    Framing *me = argument;
    for (uint64_t number = 0; number < me->count; number++) {
        Slot *slot = claim_slot(&me->slots, FRAME_WORDS * 8, false);
        if (!slot && !(slot = claim_slot(&me->slots, FRAME_WORDS * 8, true))) {
            me->full++;
            sched_yield();
            continue;
        }
        uint64_t *words = (uint64_t *)slot->data;
        for (uint64_t i = 0; i < FRAME_WORDS; i++)
            words[i] = me->slots.serial;
        finish_slot(&me->slots, slot);
        atomic_store_explicit(&me->told, 1 + slot->serial * MAX_FRAMES + slot->index, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst);
        if (number % 16 == 15)
            sched_yield();
    }
    atomic_store(&me->over, true);
    return NULL;
}

static void *look_at_frames(void *argument) {
    Looking *me = argument;
    Framing *framing = me->framing;
    while (!atomic_load(&framing->over)) {
        uint64_t told = atomic_load_explicit(&framing->told, memory_order_acquire);
        if (!told)
            continue;
        uint64_t serial = (told - 1) / MAX_FRAMES;
        Slot *slot = &framing->pool->slot[(told - 1) % MAX_FRAMES];
        if (me->pinned ? !pin_frame(slot->block, me->entry, serial) : load_acquire(slot->block) != 2 * serial + 2) {
            me->overwritten++;
            continue;
        }
        store_relaxed((char *)framing->pool->memory.buf + FRAMES_TAKEN + 8 * me->entry, serial + 1);
        const uint64_t *words = (const uint64_t *)slot->data;
        for (int turn = 0; turn < 2; turn++)
            for (uint64_t i = 0; i < FRAME_WORDS; i++)
                if (words[i] != serial) {
                    me->torn++;
                    i = FRAME_WORDS, turn = 2;
                }
        me->looks++;
        if (me->pinned)
            store_byte(slot->block + BLOCK_PINS + me->entry, 0);
    }
    return NULL;
}

static PyObject *frames(PyObject *Py_UNUSED(self), PyObject *args) {
    unsigned long long count;
    unsigned int slots, readers;
    int pinned;
    if (!PyArg_ParseTuple(args, "KIIp", &count, &slots, &readers, &pinned))
        return NULL;
    if (slots < 2 || slots > MAX_FRAMES || readers < 1 || readers > MOST_LOOKERS)
        return PyErr_Format(PyExc_ValueError, "2 to %d slots, 1 to %d readers", MAX_FRAMES, MOST_LOOKERS);
    static Framing framing;
    static Looking looking[MOST_LOOKERS];
    memset(&framing, 0, sizeof framing);
    memset(looking, 0, sizeof looking);
    size_t first = FRAMES_BLOCKS + slots * FRAMES_BLOCK, size = first + (size_t)slots * FRAME_WORDS * 8;
    char *memory = aligned_alloc(4096, (size + 4095) / 4096 * 4096), *control = aligned_alloc(64, CONTROL_SIZE);
    Pool *pool = calloc(1, sizeof(Pool) + slots * sizeof(Slot));
    memset(memory, 0, size);
    memset(control, 0, CONTROL_SIZE);
    uint32_t half[] = {1, readers};
    memcpy(control + CONTROL_DEPTH, half, sizeof half);
    pool->memory.buf = memory;
    pool->capacity = FRAME_WORDS * 8;
    pool->slots = slots;
    for (uint32_t i = 0; i < slots; i++) {
        pool->slot[i] = (Slot){.pool = pool, .index = i, .older = framing.slots.free};
        pool->slot[i].block = memory + FRAMES_BLOCKS + (size_t)i * FRAMES_BLOCK;
        pool->slot[i].data = memory + first + (size_t)i * FRAME_WORDS * 8;
        framing.slots.free = &pool->slot[i];
    }
    framing.slots.control.buf = control;
    framing.pool = pool;
    framing.count = count;
    uint64_t looks = 0, overwritten = 0, torn = 0;
    Py_BEGIN_ALLOW_THREADS
    for (uint32_t i = 0; i < readers; i++) {
        control[CONTROL_ENTRIES + i * ENTRY_SIZE] = 1;
        looking[i] = (Looking){.framing = &framing, .entry = i, .pinned = pinned};
        pthread_create(&looking[i].thread, NULL, look_at_frames, &looking[i]);
    }
    pthread_create(&framing.thread, NULL, write_frames, &framing);
    pthread_join(framing.thread, NULL);
    for (uint32_t i = 0; i < readers; i++) {
        pthread_join(looking[i].thread, NULL);
        looks += looking[i].looks, overwritten += looking[i].overwritten, torn += looking[i].torn;
    }
    Py_END_ALLOW_THREADS
    free(pool), free(memory), free(control);
    return Py_BuildValue("(KKKK)", (unsigned long long)looks, (unsigned long long)overwritten, (unsigned long long)torn,
                         (unsigned long long)framing.full);
}

static PyMethodDef race_methods[] = {
    {"frames", frames, METH_VARARGS, "frames(count, slots, readers, pinned)"},
    {"race", race, METH_VARARGS, "race(messages, publishers, slots)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef race_module = {
    PyModuleDef_HEAD_INIT, .m_name = "_race", .m_size = -1, .m_methods = race_methods,
};

PyMODINIT_FUNC PyInit__race(void) {
    return PyModule_Create(&race_module);
}
