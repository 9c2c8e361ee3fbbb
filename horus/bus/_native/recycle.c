/* Messages that were received and dropped are filled again, with their numbers, instead of being made anew.
 *
 * A reader keeps a reference to the last messages that it gave away. One that has no other reference left cannot be seen by
 * anybody, so it may change: the same reasoning by which zip() reuses its tuples. The same holds for a number or a tuple that
 * only such a message refers to. Making and freeing these objects is most of what receiving a declared message would cost.
 */
#include "shared.h"

#define FEWEST_KEPT 2 /* `got = recv()` holds one message while the next is made */
#define MOST_KEPT 1024

typedef struct {
    PyObject **messages;
    uint32_t size, at;
} Kept;

/* Make room for this many messages that are held at the same time. */
static void keep_more(Kept *kept, uint64_t count) {
    uint32_t size = count > MOST_KEPT ? MOST_KEPT : (uint32_t)count;
    if (size <= kept->size)
        return;
    PyObject **messages = PyMem_Realloc(kept->messages, size * sizeof *messages);
    if (!messages)
        return; /* nothing is lost but time */
    memset(messages + kept->size, 0, (size - kept->size) * sizeof *messages);
    kept->messages = messages;
    kept->size = size;
}

/* Return a message of this class that nobody else can see, or NULL. */
static inline PyObject *take_kept(Kept *kept, const Layout *layout) {
    if (!kept->size)
        return NULL;
    PyObject *message = kept->messages[kept->at];
    if (!message || Py_REFCNT(message) != 1 || Py_TYPE(message) != layout->cls || !layout->only_fields ||
        layout->cls->tp_finalize)
        return NULL;
    kept->at = kept->at + 1 < kept->size ? kept->at + 1 : 0;
    Py_INCREF(message);
    return message;
}

/* Keep a new message for later; what it takes the place of may be freed, so Python code may run. */
static inline void keep(Kept *kept, PyObject *message) {
    if (!kept->size)
        keep_more(kept, FEWEST_KEPT);
    if (!kept->size)
        return;
    PyObject *before = kept->messages[kept->at];
    Py_INCREF(message);
    kept->messages[kept->at] = message;
    kept->at = kept->at + 1 < kept->size ? kept->at + 1 : 0;
    Py_XDECREF(before);
}

static int visit_kept(Kept *kept, visitproc visit, void *arg) {
    for (uint32_t i = 0; i < kept->size; i++)
        Py_VISIT(kept->messages[i]);
    return 0;
}

static void forget_kept(Kept *kept) {
    Kept gone = *kept;
    *kept = (Kept){0};
    for (uint32_t i = 0; i < gone.size; i++)
        Py_XDECREF(gone.messages[i]);
    PyMem_Free(gone.messages);
}
