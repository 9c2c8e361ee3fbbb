/* What the parts of the native core share: the layout's numbers, words in shared memory, the two codecs.
 *
 * The core is one writer and one reader on the layout of ../LAYOUT.md. Everything that happens once (opening, growing,
 * finding rings, errors in words) is Python, in ../topic.py; here is what happens once a message. Its twin in Python is
 * ../pure.
 */
#ifndef HORUS_SHARED_H
#define HORUS_SHARED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdarg.h>
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
#define CONTROL_UNLISTED 40
#define CONTROL_WAITING 256
#define CONTROL_ENTRIES 512
#define ENTRY_SIZE 16
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
#define KIND_FRAME 4
#define FRAMES_TAKEN 2048
#define FRAMES_BLOCKS 4096
#define FRAMES_BLOCK 512
#define BLOCK_PINS 256
#define MAX_FRAMES 64
#define MAX_MESSAGE (256 * 1024 * 1024)
#define FRAME_LEAST 4096

#define ON_STACK 4608 /* messages up to this size are copied to the stack before they are decoded */
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
static inline void store_relaxed(char *at, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)at, value, memory_order_relaxed);
}
static inline void store_byte(char *at, char value) {
    atomic_store_explicit((_Atomic char *)at, value, memory_order_release);
}

/* Ask for cache lines that the other end has changed, so that they come side by side and not one after the other. It is only a
 * hint: the address may be anything. */
static inline void fetch_line(const char *at) {
    __builtin_prefetch(at, 0, 3);
}
static inline void fetch_line_to_write(const char *at) {
#if defined(__x86_64__) /* without this the compiler asks for a shared copy, which would have to be asked for again */
    __asm__ volatile("prefetchw %0" : : "m"(*at));
#else
    __builtin_prefetch(at, 1, 3);
#endif
}

/* Copy bytes from or to a slot, which may be overwritten meanwhile: the sequence word tells afterwards. ThreadSanitizer, which
 * knows nothing of that, sees atomic accesses. */
#ifdef __SANITIZE_THREAD__
static inline void copy_slot(void *to, const void *from, size_t size) {
    for (size_t i = 0; i < size; i++)
        atomic_store_explicit((_Atomic char *)to + i, atomic_load_explicit((const _Atomic char *)from + i, memory_order_relaxed),
                              memory_order_relaxed);
}
#else
#define copy_slot memcpy
#endif

/* `forked` of what has no lock: the GIL, which Python renews in a child, keeps its threads apart. */
static PyObject *nothing_forked(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    Py_RETURN_NONE;
}

/* The time of a simulated clock; 0 while there is none. */
static uint64_t simulated_ns;

static inline uint64_t monotonic_ns(void) {
    if (simulated_ns)
        return simulated_ns;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- declared messages (declared.c) ----------------------------------------------------- */

typedef struct Field Field;

/* What the core knows of a message class: its MessageSpec, and where its slots lie. */
typedef struct {
    PyObject_HEAD
    PyObject *spec;
    PyTypeObject *cls;
    uint64_t hash;
    uint32_t size;
    bool direct; /* fields are packed and unpacked here; else by the spec's own methods */
    bool framed; /* an array that lies in a frame belongs to it */
    Py_ssize_t frame_place; /* of that array in the instance; 0: Python packs and unpacks the message */
    bool gaps;
    bool only_fields; /* an instance holds its fields and nothing else: no dict, no weak references, no other slots */
    Py_ssize_t count;
    Field *fields;
} Layout;


/* ---- MessagePack (plain.c) -------------------------------------------------------------- */

typedef struct {
    char *data;
    size_t size, room;
} Buffer;

#define KEEP(name) (Py_INCREF(name), self->name = name)

/* PyBuffer_Release, and never look at that memory again. */
static inline void let_go(Py_buffer *view) {
    PyBuffer_Release(view);
    view->buf = NULL;
    view->len = 0;
}

/* A stamp that a caller gave: nanoseconds on the monotonic clock, not more than a second ahead. 0 on error. */
static inline uint64_t checked_stamp(PyObject *given) {
    uint64_t stamp = PyLong_Check(given) ? PyLong_AsUnsignedLongLong(given) : (uint64_t)-1;
    if (stamp == 0 || stamp > monotonic_ns() + 1000000000u) {
        PyErr_Format(PyExc_ValueError, "stamp_ns is %R: it must be nanoseconds of time.monotonic_ns(), not ahead of now",
                     given);
        return 0;
    }
    return stamp;
}

#endif
