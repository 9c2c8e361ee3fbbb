/* MessagePack for the plain types, without a detour through Python.
 *
 * What is not exactly a dict, list, tuple, str, bytes, int, float, bool or None (inside), or does not fit 64 bits, or is
 * nested deeper than MAX_DEPTH is left to codec.py: plain_encode returns false, plain_decode NULL, neither with an error.
 * No Python code runs in here, so nothing changes underneath.
 */
#include "shared.h"

#define MAX_DEPTH 32
#define LARGE (64 * 1024) /* bigger text and bytes go the way that copies them once less */

static inline char *reserve(Buffer *out, size_t more) {
    if (out->room - out->size < more) {
        size_t room = 2 * (out->size + more) + 256;
        char *data = PyMem_Realloc(out->data, room);
        if (!data)
            return NULL;
        out->data = data;
        out->room = room;
    }
    char *at = out->data + out->size;
    out->size += more;
    return at;
}

static inline void put_big(char *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        to[i] = (char)(value >> (8 * (bytes - 1 - i)));
}

/* A one-byte tag and a big-endian number. */
static inline bool put_tag(Buffer *out, unsigned tag, uint64_t value, int bytes) {
    char *at = reserve(out, 1 + (size_t)bytes);
    if (!at)
        return false;
    at[0] = (char)tag;
    put_big(at + 1, value, bytes);
    return true;
}

static bool put_int(Buffer *out, PyObject *value) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) {
        if (overflow < 0)
            return false;
        unsigned long long large = PyLong_AsUnsignedLongLong(value);
        if (large == (unsigned long long)-1 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
        return put_tag(out, 0xcf, large, 8);
    }
    uint64_t bits = (uint64_t)number;
    if (number >= -32 && number <= 127)
        return put_tag(out, (unsigned char)number, 0, 0);
    if (number >= 0) {
        if (number <= 0xff)
            return put_tag(out, 0xcc, bits, 1);
        if (number <= 0xffff)
            return put_tag(out, 0xcd, bits, 2);
        return number <= 0xffffffffLL ? put_tag(out, 0xce, bits, 4) : put_tag(out, 0xcf, bits, 8);
    }
    if (number >= -0x80)
        return put_tag(out, 0xd0, bits, 1);
    if (number >= -0x8000)
        return put_tag(out, 0xd1, bits, 2);
    return number >= -0x80000000LL ? put_tag(out, 0xd2, bits, 4) : put_tag(out, 0xd3, bits, 8);
}

/* The head of a text, bytes, list or dict: `fix` where small sizes are part of the tag, `tag` for the first longer form. */
static bool put_size(Buffer *out, size_t size, unsigned fix, size_t fix_limit, unsigned tag8, unsigned tag16) {
    if (size < fix_limit)
        return put_tag(out, fix | (unsigned)size, 0, 0);
    if (tag8 && size <= 0xff)
        return put_tag(out, tag8, size, 1);
    return size <= 0xffff ? put_tag(out, tag16, size, 2) : put_tag(out, tag16 + 1, size, 4);
}

static bool put_bytes(Buffer *out, const char *data, size_t size) {
    char *at = reserve(out, size);
    if (at)
        memcpy(at, data, size);
    return at != NULL;
}

static bool encode_value(Buffer *out, PyObject *value, int depth) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyFloat_Type) {
        double number = PyFloat_AS_DOUBLE(value);
        uint64_t bits;
        memcpy(&bits, &number, 8);
        return put_tag(out, 0xcb, bits, 8);
    }
    if (type == &PyLong_Type)
        return put_int(out, value);
    if (type == &PyUnicode_Type) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(value, &size);
        if (!text) {
            PyErr_Clear();
            return false;
        }
        return size <= LARGE && put_size(out, (size_t)size, 0xa0, 32, 0xd9, 0xda) && put_bytes(out, text, (size_t)size);
    }
    if (value == Py_True || value == Py_False)
        return put_tag(out, value == Py_True ? 0xc3 : 0xc2, 0, 0);
    if (value == Py_None)
        return depth > 0 && put_tag(out, 0xc0, 0, 0);
    if (type == &PyBytes_Type) {
        size_t size = (size_t)PyBytes_GET_SIZE(value);
        return size <= LARGE && put_size(out, size, 0, 0, 0xc4, 0xc5) && put_bytes(out, PyBytes_AS_STRING(value), size);
    }
    if (depth >= MAX_DEPTH)
        return false;
    if (type == &PyDict_Type) {
        if (!put_size(out, (size_t)PyDict_GET_SIZE(value), 0x80, 16, 0, 0xde))
            return false;
        PyObject *key, *item;
        Py_ssize_t position = 0;
        while (PyDict_Next(value, &position, &key, &item))
            if (PyTuple_Check(key) || !encode_value(out, key, depth + 1) || !encode_value(out, item, depth + 1))
                return false;
        return true;
    }
    if (type == &PyList_Type || type == &PyTuple_Type) {
        Py_ssize_t count = PySequence_Fast_GET_SIZE(value);
        if (!put_size(out, (size_t)count, 0x90, 16, 0, 0xdc))
            return false;
        for (Py_ssize_t i = 0; i < count; i++)
            if (!encode_value(out, PySequence_Fast_GET_ITEM(value, i), depth + 1))
                return false;
        return true;
    }
    return false;
}

static bool plain_encode(Buffer *out, PyObject *value) {
    return encode_value(out, value, 0);
}

/* ---- decoding --------------------------------------------------------------------------- */

typedef struct {
    const unsigned char *at, *end;
} Cursor;

/* Keys come again and again: short ones are kept, with their hash already computed. */
#define KNOWN_KEYS 256
#define KEY_LIMIT 32
static PyObject *known_keys[KNOWN_KEYS];

static PyObject *get_key(const unsigned char *text, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) {
        if (text[i] >= 0x80)
            return PyUnicode_DecodeUTF8((const char *)text, (Py_ssize_t)size, NULL);
        hash = (hash ^ text[i]) * 16777619u;
    }
    PyObject **place = &known_keys[(hash ^ hash >> 16) % KNOWN_KEYS];
    PyObject *known = *place;
    if (known && (size_t)PyUnicode_GET_LENGTH(known) == size && !memcmp(PyUnicode_1BYTE_DATA(known), text, size)) {
        Py_INCREF(known);
        return known;
    }
    PyObject *key = PyUnicode_DecodeUTF8((const char *)text, (Py_ssize_t)size, NULL);
    if (key) {
        Py_INCREF(key);
        Py_XSETREF(*place, key);
    }
    return key;
}

static inline bool get_big(Cursor *in, int bytes, uint64_t *value) {
    if (in->end - in->at < bytes)
        return false;
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value = *value << 8 | in->at[i];
    in->at += bytes;
    return true;
}

static PyObject *decode_value(Cursor *in, int depth, bool key);

static PyObject *get_text(Cursor *in, uint64_t size, bool key) {
    if ((uint64_t)(in->end - in->at) < size)
        return NULL;
    const unsigned char *text = in->at;
    in->at += size;
    if (key && size <= KEY_LIMIT)
        return get_key(text, (size_t)size);
    return PyUnicode_DecodeUTF8((const char *)text, (Py_ssize_t)size, NULL);
}

static PyObject *get_data(Cursor *in, uint64_t size) {
    if ((uint64_t)(in->end - in->at) < size)
        return NULL;
    in->at += size;
    return PyBytes_FromStringAndSize((const char *)in->at - size, (Py_ssize_t)size);
}

static PyObject *get_list(Cursor *in, uint64_t count, int depth) {
    if (depth >= MAX_DEPTH || (uint64_t)(in->end - in->at) < count) /* an item has a byte at least */
        return NULL;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; list && i < count; i++) {
        PyObject *item = decode_value(in, depth + 1, false);
        if (item)
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *get_dict(Cursor *in, uint64_t count, int depth) {
    if (depth >= MAX_DEPTH || (uint64_t)(in->end - in->at) / 2 < count)
        return NULL;
    PyObject *dict = PyDict_New();
    while (dict && count--) {
        PyObject *key = decode_value(in, depth + 1, true);
        PyObject *item = key ? decode_value(in, depth + 1, false) : NULL;
        if (!item || PyDict_SetItem(dict, key, item) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(item);
    }
    return dict;
}

static PyObject *decode_value(Cursor *in, int depth, bool key) {
    uint64_t value;
    if (!get_big(in, 1, &value))
        return NULL;
    unsigned tag = (unsigned)value;
    if (tag < 0x80)
        return PyLong_FromLong((long)tag);
    if (tag >= 0xe0)
        return PyLong_FromLong((long)tag - 256);
    if (tag < 0x90)
        return get_dict(in, tag & 15, depth);
    if (tag < 0xa0)
        return get_list(in, tag & 15, depth);
    if (tag < 0xc0)
        return get_text(in, tag & 31, key);
    /* What follows the tag: bytes of a number or of a size. */
    static const signed char follows[32] = {0, -1, 0, 0, 1, 2, 4, -1, -1, -1, 4,  8,  1,  2,  4, 8,
                                            1, 2,  4, 8, -1, -1, -1, -1, -1, 1, 2, 4, 2, 4, 2, 4};
    int bytes = follows[tag - 0xc0];
    if (bytes < 0 || !get_big(in, bytes, &value))
        return NULL;
    switch (tag) {
    case 0xc0:
        Py_RETURN_NONE;
    case 0xc2:
        Py_RETURN_FALSE;
    case 0xc3:
        Py_RETURN_TRUE;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return get_data(in, value);
    case 0xca: {
        uint32_t bits = (uint32_t)value;
        float number;
        memcpy(&number, &bits, 4);
        return PyFloat_FromDouble(number);
    }
    case 0xcb: {
        double number;
        memcpy(&number, &value, 8);
        return PyFloat_FromDouble(number);
    }
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return PyLong_FromUnsignedLongLong(value);
    case 0xd0:
        return PyLong_FromLong((int8_t)value);
    case 0xd1:
        return PyLong_FromLong((int16_t)value);
    case 0xd2:
        return PyLong_FromLong((int32_t)value);
    case 0xd3:
        return PyLong_FromLongLong((int64_t)value);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return get_text(in, value, key);
    case 0xdc:
    case 0xdd:
        return get_list(in, value, depth);
    case 0xde:
    case 0xdf:
        return get_dict(in, value, depth);
    default:
        return NULL;
    }
}

static PyObject *plain_decode(const char *data, size_t size) {
    Cursor in = {(const unsigned char *)data, (const unsigned char *)data + size};
    PyObject *value = decode_value(&in, 0, false);
    if (value && in.at != in.end)
        Py_CLEAR(value);
    if (!value)
        PyErr_Clear(); /* codec.py looks again and finds the words */
    return value;
}
