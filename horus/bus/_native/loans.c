/* Loans of arrays, as `with` has them; the twin in Python is Loan in ../loans.py. */
#include "shared.h"

/* What `publisher.loan` is: it makes the loans of plain arrays, and leaves all others to Python. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Slots *slots;
    Writer *writer;
    PyObject *frames; /* Frames, for what is not done here */
    PyObject *otherwise; /* the method in whose place this stands */
    PyObject *shapes[MOST_FORMS], *dtypes[MOST_FORMS]; /* what was asked for ... */
    Form *forms[MOST_FORMS];                           /* ... and is this */
    uint32_t at;
} Lender;

typedef struct {
    PyObject_HEAD
    Lender *lender;
    Form *form;
    PyObject *array, *stamp;
    Slot *slot; /* NULL: not entered, left, or readers hold all */
    bool sent;
} Loan;

static PyTypeObject Loan_Type;

/* Whether two shapes, or two names of a dtype, say the same. */
static inline bool alike(PyObject *known, PyObject *given) {
    if (known == given)
        return true;
    if (!known || Py_TYPE(known) != Py_TYPE(given))
        return false;
    if (PyTuple_CheckExact(known)) {
        Py_ssize_t size = PyTuple_GET_SIZE(known);
        if (size != PyTuple_GET_SIZE(given))
            return false;
        for (Py_ssize_t i = 0; i < size; i++)
            if (!PyLong_CheckExact(PyTuple_GET_ITEM(given, i)) || !alike(PyTuple_GET_ITEM(known, i), PyTuple_GET_ITEM(given, i)))
                return false;
        return true;
    }
    if (PyLong_CheckExact(known)) {
        int overflow[2];
        long long one = PyLong_AsLongLongAndOverflow(known, &overflow[0]);
        long long other = PyLong_AsLongLongAndOverflow(given, &overflow[1]);
        return one == other && !overflow[0] && !overflow[1];
    }
    return PyUnicode_CheckExact(known) && PyUnicode_Compare(known, given) == 0;
}

/* Whether what was asked for can be kept in mind: it never changes. */
static bool lasting(PyObject *shape, PyObject *dtype) {
    if (!PyLong_CheckExact(shape)) {
        if (!PyTuple_CheckExact(shape))
            return false;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape); i++)
            if (!PyLong_CheckExact(PyTuple_GET_ITEM(shape, i)))
                return false;
    }
    if (PyUnicode_CheckExact(dtype) || PyType_Check(dtype))
        return true;
    if (!array_type)
        find_numpy();
    return dtype_type && PyObject_TypeCheck(dtype, dtype_type);
}

/* Return the form (borrowed) of what is asked for; NULL: without an error, if Python has to look at it. */
static Form *form_asked_for(Lender *self, PyObject *shape, PyObject *dtype) {
    for (int i = 0; i < MOST_FORMS; i++)
        if (self->forms[i] && alike(self->dtypes[i], dtype) && alike(self->shapes[i], shape))
            return self->forms[i];
    if (!lasting(shape, dtype))
        return NULL;
    PyObject *found = PyObject_CallMethod(self->frames, "form", "OO", shape, dtype);
    Form *form = NULL;
    if (found && PyTuple_Check(found) && PyTuple_GET_SIZE(found) == 3)
        form = new_form(PyTuple_GET_ITEM(found, 0), PyTuple_GET_ITEM(found, 1), PyTuple_GET_ITEM(found, 2));
    Py_XDECREF(found);
    if (form && !array_type)
        find_numpy();
    if (form && array_type) {
        uint32_t at = self->at++ % MOST_FORMS;
        Py_XSETREF(self->forms[at], form);
        Py_XSETREF(self->shapes[at], Py_NewRef(shape));
        Py_XSETREF(self->dtypes[at], Py_NewRef(dtype));
        return form;
    }
    Py_XDECREF(form);
    return NULL;
}

static PyObject *s_uint8, *s_shape, *s_dtype, *s_stamp_ns; /* names that are used again and again */

static PyObject *Lender_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names) {
    Lender *self = (Lender *)callable;
    fetch_warm(self->slots);
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    PyObject *shape = count > 0 ? args[0] : NULL, *dtype = count > 1 ? args[1] : NULL, *stamp = Py_None;
    bool plain = self->frames && !self->slots->dead && count <= 2;
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_Compare(name, s_stamp_ns) == 0)
            stamp = args[count + i];
        else if (!shape && PyUnicode_Compare(name, s_shape) == 0)
            shape = args[count + i];
        else if (!dtype && PyUnicode_Compare(name, s_dtype) == 0)
            dtype = args[count + i];
        else
            plain = false;
    }
    Form *form = NULL;
    if (plain && shape && !PyType_Check(shape)) {
        PyObject *sizes = PyList_CheckExact(shape) ? PyList_AsTuple(shape) : Py_NewRef(shape);
        form = sizes ? form_asked_for(self, sizes, dtype ? dtype : s_uint8) : NULL;
        Py_XINCREF(form); /* to make a loan may collect, and so run Python code that lends other shapes */
        Py_XDECREF(sizes);
    }
    if (!form) {
        if (PyErr_Occurred())
            return NULL;
        if (!self->otherwise) {
            PyErr_SetString(PyExc_ValueError, "this publisher is gone");
            return NULL;
        }
        return PyObject_Vectorcall(self->otherwise, args, (size_t)count, names);
    }
    Loan *loan = PyObject_GC_New(Loan, &Loan_Type);
    if (!loan) {
        Py_DECREF(form);
        return NULL;
    }
    loan->lender = (Lender *)Py_NewRef(self);
    loan->form = form;
    loan->stamp = Py_NewRef(stamp);
    loan->array = NULL;
    loan->slot = NULL;
    loan->sent = false;
    PyObject_GC_Track((PyObject *)loan);
    return (PyObject *)loan;
}

static int Lender_init(Lender *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"slots", "writer", "frames", "otherwise", NULL};
    PyObject *slots, *writer, *frames, *otherwise;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!OO", names, &Slots_Type, &slots, &Writer_Type, &writer, &frames,
                                     &otherwise))
        return -1;
    if (self->slots) {
        PyErr_SetString(PyExc_ValueError, "this lender is in use");
        return -1;
    }
    self->call = Lender_call;
    self->slots = (Slots *)Py_NewRef(slots);
    self->writer = (Writer *)Py_NewRef(writer);
    KEEP(frames), KEEP(otherwise);
    return 0;
}

static int Lender_traverse(Lender *self, visitproc visit, void *arg) {
    Py_VISIT(self->writer);
    Py_VISIT(self->frames);
    Py_VISIT(self->otherwise);
    return 0;
}

static int Lender_clear(Lender *self) {
    Py_CLEAR(self->frames);
    Py_CLEAR(self->otherwise);
    return 0; /* the rest is in no circle without them */
}

static void Lender_dealloc(Lender *self) {
    PyObject_GC_UnTrack(self);
    Lender_clear(self);
    Py_XDECREF(self->slots);
    Py_XDECREF(self->writer);
    for (int i = 0; i < MOST_FORMS; i++) {
        Py_XDECREF(self->shapes[i]);
        Py_XDECREF(self->dtypes[i]);
        Py_XDECREF(self->forms[i]);
    }
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject Lender_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Lender",
    .tp_basicsize = sizeof(Lender),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "Lends places for arrays in shared memory.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Lender_init,
    .tp_dealloc = (destructor)Lender_dealloc,
    .tp_traverse = (traverseproc)Lender_traverse,
    .tp_clear = (inquiry)Lender_clear,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Lender, call),
};

/* ---- a loan ----------------------------------------------------------------------------- */

/* Get a slot, by the long way if need be; false on error. Without an error there may be none: readers hold all. */
static bool get_slot(Loan *self) {
    Lender *lender = self->lender;
    uint64_t size = self->form->size ? self->form->size : 1;
    if ((self->slot = claim_slot(lender->slots, size, false)))
        return true;
    PyObject *number = PyObject_CallMethod(lender->frames, "claim", "K", (unsigned long long)self->form->size);
    long found = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (found >= 0)
        self->slot = claimed_slot(lender->slots, (unsigned long)found);
    return !PyErr_Occurred();
}

static PyObject *Loan_enter(Loan *self, PyObject *Py_UNUSED(ignored)) {
    if (self->array || !self->lender)
        return self->lender ? PyObject_CallMethod(self->lender->frames, "refuse_again", NULL) : PyErr_NoMemory();
    if (!get_slot(self))
        return NULL;
    const Form *form = self->form;
    Slot *slot = self->slot;
    if (!slot) /* what is written here goes nowhere */
        self->array = PyObject_CallFunctionObjArgs((PyObject *)array_type, form->shape, form->dtype, NULL);
    else if (numpy_known)
        self->array = array_on(form, slot->data, Py_NewRef(slot->pool->memory.obj), true);
    else
        self->array = PyObject_CallFunction((PyObject *)array_type, "OOOn", form->shape, form->dtype, slot->pool->memory.obj,
                                            (Py_ssize_t)(slot->data - (char *)slot->pool->memory.buf));
    if (!self->array && slot) {
        give_back(self->lender->slots, slot);
        self->slot = NULL;
    }
    return Py_XNewRef(self->array);
}

static PyObject *Loan_exit(Loan *self, PyObject *const *args, Py_ssize_t count) {
    Lender *lender = self->lender;
    Slot *slot = self->slot;
    bool well = count < 1 || args[0] == Py_None;
    uint64_t stamp = 0;
    if (!self->array || !lender) {
        PyErr_SetString(PyExc_RuntimeError, "a loan is left that was not entered");
        return NULL;
    }
    self->slot = NULL;
    bool frozen = freeze(self->array);
    if (!slot) {
        if (frozen && well && !self->sent)
            return PyObject_CallMethod(lender->frames, "_drop", NULL);
    } else if (!frozen || !well || (self->stamp != Py_None && !(stamp = checked_stamp(self->stamp)))) {
        give_back(lender->slots, slot);
    } else if (lender->slots->dead) {
        give_back(lender->slots, slot);
        return PyObject_CallMethod(lender->frames, "refuse_left", NULL);
    } else {
        finish_slot(lender->slots, slot);
        PyObject *sent = send_frame(lender->writer, lender->slots, slot, self->form, (Rest){.data = ""}, stamp);
        if (!sent)
            return NULL;
        Py_DECREF(sent);
        self->sent = true;
    }
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static int Loan_traverse(Loan *self, visitproc visit, void *arg) {
    Py_VISIT(self->lender);
    Py_VISIT(self->array);
    Py_VISIT(self->stamp);
    return 0;
}

static int Loan_clear(Loan *self) {
    if (self->slot) { /* entered and never left, as by a generator that was dropped */
        if (self->array && !freeze(self->array))
            PyErr_Clear();
        give_back(self->lender->slots, self->slot);
        self->slot = NULL;
    }
    Py_CLEAR(self->array);
    Py_CLEAR(self->lender);
    return 0;
}

static void Loan_dealloc(Loan *self) {
    PyObject_GC_UnTrack(self);
    Loan_clear(self);
    Py_XDECREF(self->form);
    Py_XDECREF(self->stamp);
    PyObject_GC_Del(self);
}

static PyMethodDef Loan_methods[] = {
    {"__enter__", (PyCFunction)Loan_enter, METH_NOARGS, "Return the array to be written."},
    {"__exit__", (PyCFunction)(void (*)(void))Loan_exit, METH_FASTCALL, "Send it, unless there was an exception."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Loan_members[] = {
    {"sent", T_BOOL, offsetof(Loan, sent), READONLY, "whether it was sent; known after `with`"},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject Loan_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "horus.bus._core.Loan",
    .tp_basicsize = sizeof(Loan),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "A place in shared memory to write an array into; the end of `with` sends it.",
    .tp_dealloc = (destructor)Loan_dealloc,
    .tp_traverse = (traverseproc)Loan_traverse,
    .tp_clear = (inquiry)Loan_clear,
    .tp_methods = Loan_methods,
    .tp_members = Loan_members,
};

static int loans_init(void) {
    if (!s_uint8)
        s_uint8 = PyUnicode_InternFromString("uint8");
    if (!s_shape)
        s_shape = PyUnicode_InternFromString("shape");
    if (!s_dtype)
        s_dtype = PyUnicode_InternFromString("dtype");
    if (!s_stamp_ns)
        s_stamp_ns = PyUnicode_InternFromString("stamp_ns");
    return s_uint8 && s_shape && s_dtype && s_stamp_ns ? 0 : -1;
}
