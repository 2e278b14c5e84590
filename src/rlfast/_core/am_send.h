/* Give an extension type the am_send slot, which Cython has no syntax for.
 *
 * With it, PyIter_Send (the SEND instruction behind `await`) gets a ready value as a return value, instead of
 * as a StopIteration that is made, raised, matched and freed. */
#ifndef RLFAST_AM_SEND_H
#define RLFAST_AM_SEND_H

#include <Python.h>

static int rlfast_install_am_send(PyTypeObject *type, PyAsyncMethods *slots, sendfunc send)
{
    /* The slots are static storage of the caller; a static type keeps pointing to them for ever. */
    if (type->tp_as_async != NULL)
        *slots = *type->tp_as_async;
    slots->am_send = send;
    type->tp_as_async = slots;
    PyType_Modified(type);
    return 0;
}

#endif
