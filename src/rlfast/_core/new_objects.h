/* Python objects as CPython makes them, with fewer calls and without memory that is cleared first. The kernels know
 * nothing of it. What makes an object returns a new reference, or NULL with an exception set. */
#ifndef RLFAST_NEW_OBJECTS_H
#define RLFAST_NEW_OBJECTS_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Copy n bytes, which are mostly few, and at least two. */
static inline void rl_copy_text(char *to, const uint8_t *from, size_t n)
{
    if (n > 32)
        memcpy(to, from, n);
    else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    }
    else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    }
    else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    }
    else {
        memcpy(to, from, 2);
        to[n - 1] = (char)from[n - 1];
    }
}

/* The str of n characters of ASCII, at least two: PyUnicode_New, and the text in it. */
static inline PyObject *rl_new_ascii(const uint8_t *text, size_t n)
{
#ifdef Py_GIL_DISABLED
    PyObject *made = PyUnicode_New((Py_ssize_t)n, 127);
    if (made != NULL)
        memcpy(PyUnicode_DATA(made), text, n);
    return made;
#else
    PyASCIIObject *made = (PyASCIIObject *)PyObject_Malloc(sizeof *made + n + 1);
    char *data = (char *)(made + 1);
    if (made == NULL)
        return PyErr_NoMemory();
    PyObject_Init((PyObject *)made, &PyUnicode_Type);
    made->length = (Py_ssize_t)n;
    made->hash = -1;
    memset(&made->state, 0, sizeof made->state);
    made->state.kind = PyUnicode_1BYTE_KIND;
    made->state.compact = 1;
    made->state.ascii = 1;
#if PY_VERSION_HEX < 0x030C0000
    made->state.ready = 1;
    made->wstr = NULL;
#endif
    rl_copy_text(data, text, n);
    data[n] = 0;
    return (PyObject *)made;
#endif
}

/* An empty list with room for n items, to be written from the first on, with Py_SET_SIZE behind each. */
static inline PyObject *rl_new_list(size_t n)
{
#ifdef Py_GIL_DISABLED
    PyObject *made = PyList_New((Py_ssize_t)n);
    if (made != NULL)
        Py_SET_SIZE(made, 0);
    return made;
#else
    PyObject *made = PyList_New(0), **items;
    if (made == NULL || n == 0)
        return made;
    items = (PyObject **)PyMem_Malloc(n * sizeof *items);
    if (items == NULL) {
        Py_DECREF(made);
        return PyErr_NoMemory();
    }
    ((PyListObject *)made)->ob_item = items;
    ((PyListObject *)made)->allocated = (Py_ssize_t)n;
    return made;
#endif
}

/* Whether objects of a type that the garbage collector knows are made by rl_new_untracked. */
static inline int rl_is_plain_type(PyTypeObject *type)
{
    return PyType_IS_GC(type) && type->tp_alloc == PyType_GenericAlloc && type->tp_itemsize == 0
        && type->tp_dictoffset == 0 && type->tp_weaklistoffset == 0;
}

/* What PyType_GenericAlloc makes, but the garbage collector does not see it yet. */
static inline PyObject *rl_new_untracked(PyTypeObject *type)
{
    PyObject *made = PyObject_GC_New(PyObject, type);
    if (made != NULL)
        memset(made + 1, 0, (size_t)type->tp_basicsize - sizeof *made);
    return made;
}

#endif
