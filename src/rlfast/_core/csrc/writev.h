/* Writing a record that lies in pieces, all of it or an error. */
#ifndef RLFAST_WRITEV_H
#define RLFAST_WRITEV_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#include <io.h>

typedef struct {
    void *iov_base;
    size_t iov_len;
} rl_iovec;

/* Returns 0 or an errno. */
static inline int rl_writev_all(int fd, rl_iovec *pieces, int n, int64_t offset)
{
    if (_lseeki64(fd, offset, SEEK_SET) < 0)
        return errno;
    for (int i = 0; i < n; i++) {
        const char *at = (const char *)pieces[i].iov_base;
        size_t left = pieces[i].iov_len;
        while (left) {
            int done = _write(fd, at, left > (1u << 30) ? 1u << 30 : (unsigned)left);
            if (done < 0)
                return errno;
            if (done == 0)
                return ENOSPC;
            at += done;
            left -= (size_t)done;
        }
    }
    return 0;
}

static inline int64_t rl_read_at(int fd, void *to, size_t n, int64_t offset)
{
    char *at = (char *)to;
    size_t left = n;
    if (_lseeki64(fd, offset, SEEK_SET) < 0)
        return -errno;
    while (left) {
        int done = _read(fd, at, left > (1u << 30) ? 1u << 30 : (unsigned)left);
        if (done < 0)
            return -errno;
        if (done == 0)
            break;
        at += done;
        left -= (size_t)done;
    }
    return (int64_t)(n - left);
}

#else
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct iovec rl_iovec;

/* Returns 0 or an errno. The pieces are used up. */
static inline int rl_writev_all(int fd, rl_iovec *pieces, int n, int64_t offset)
{
    for (;;) {
        ssize_t done;
        while (n && pieces->iov_len == 0) {
            pieces++;
            n--;
        }
        if (n == 0)
            return 0;
        done = pwritev(fd, pieces, n, (off_t)offset);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (done == 0)
            return ENOSPC;
        offset += done;
        while (n && (size_t)done >= pieces->iov_len) {
            done -= (ssize_t)pieces->iov_len;
            pieces++;
            n--;
        }
        if (n) {
            pieces->iov_base = (char *)pieces->iov_base + done;
            pieces->iov_len -= (size_t)done;
        }
    }
}

/* Returns how many bytes were read, fewer than n only at the end of the file, or a negative errno. */
static inline int64_t rl_read_at(int fd, void *to, size_t n, int64_t offset)
{
    size_t have = 0;
    while (have < n) {
        ssize_t done = pread(fd, (char *)to + have, n - have, (off_t)(offset + (int64_t)have));
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (done == 0)
            break;
        have += (size_t)done;
    }
    return (int64_t)have;
}
#endif

#endif
