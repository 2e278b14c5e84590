# cython: language_level=3
"""The yardstick of the throughput benchmark: picows alone, counting frames without a Python object per frame."""

from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport


cdef class Counter(WSListener):
    cdef readonly Py_ssize_t frames
    cdef readonly Py_ssize_t payload_bytes

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if frame.msg_type == WSMsgType.TEXT:
            self.frames += 1
            self.payload_bytes += frame.payload_size
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
