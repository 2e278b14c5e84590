/* A preloaded library that makes the file system fail below one folder, at a chosen call.

   FAULT_DIR     the folder; calls that concern other paths go through
   FAULT_OPS     comma-separated: open write fsync rename unlink truncate allocate mkdir rmdir, or "any"
   FAULT_AT      number of the call, from 1
   FAULT_DO      kill: SIGKILL instead of the call; tear: write a half, then SIGKILL; short: writes do a half, from that call on;
                 a number: fail with this errno, once; a number and "+": from that call on
   FAULT_CLOCK   seconds that the clock is set forward; the only variable needed for that
   FAULT_COUNT   file that gets the number of calls, at exit */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;

static int below(const char *path)
{
    const char *folder = getenv("FAULT_DIR");
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static int fd_below(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t n;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return 0;
    path[n] = 0;
    return below(path);
}

/* 0: go on; -1: fail with errno; 1: write a half. */
static int fault(const char *op)
{
    const char *ops = getenv("FAULT_OPS"), *what = getenv("FAULT_DO"), *at = getenv("FAULT_AT");
    long call, chosen = at ? atol(at) : 0;
    size_t n;
    if (!ops)
        return 0;
    if (strcmp(ops, "any")) {
        const char *found = strstr(ops, op);
        if (!found)
            return 0;
    }
    call = atomic_fetch_add(&calls, 1) + 1;
    if (!what || !chosen || call < chosen)
        return 0;
    if (!strcmp(what, "short"))
        return 1;
    n = strlen(what);
    if (what[n - 1] != '+' && call != chosen)
        return 0;
    if (!strcmp(what, "kill"))
        raise(SIGKILL);
    if (!strcmp(what, "tear"))
        return strcmp(op, "write") ? (raise(SIGKILL), 0) : 2;
    errno = atoi(what);
    return -1;
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld", atomic_load(&calls));
        fclose(file);
    }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *to)
{
    static int (*real)(clockid_t, struct timespec *);
    const char *seconds = getenv("FAULT_CLOCK");
    int status;
    if (!real)
        real = REAL(clock_gettime);
    status = real(clock, to);
    if (seconds && clock == CLOCK_REALTIME)
        to->tv_sec += atol(seconds);
    return status;
}

ssize_t write(int fd, const void *data, size_t n)
{
    int what = fd_below(fd) ? fault("write") : 0;
    ssize_t done;
    if (what < 0)
        return -1;
    done = REAL(write)(fd, data, what && n > 1 ? n / 2 : n);
    if (what == 2)
        raise(SIGKILL);
    return done;
}

static ssize_t write_vector(int fd, const struct iovec *pieces, int count, off_t offset)
{
    int what = fd_below(fd) ? fault("write") : 0;
    if (what < 0)
        return -1;
    if (what) {
        ssize_t done;
        size_t total = 0, n = 0;
        char *whole;
        for (int i = 0; i < count; i++)
            total += pieces[i].iov_len;
        whole = malloc(total + 1);
        for (int i = 0; i < count; i++) {
            memcpy(whole + n, pieces[i].iov_base, pieces[i].iov_len);
            n += pieces[i].iov_len;
        }
        done = pwrite(fd, whole, total > 1 ? total / 2 : total, offset);
        free(whole);
        if (what == 2)
            raise(SIGKILL);
        return done;
    }
    return REAL(pwritev)(fd, pieces, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return write_vector(fd, pieces, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return write_vector(fd, pieces, count, offset);
}

static int open_any(const char *name, const char *path, int flags, mode_t mode)
{
    if ((flags & O_CREAT) && below(path) && fault("open") < 0)
        return -1;
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

#define OPEN(name)                                      \
    int name(const char *path, int flags, ...)          \
    {                                                   \
        va_list arguments;                              \
        mode_t mode;                                    \
        va_start(arguments, flags);                     \
        mode = va_arg(arguments, mode_t);               \
        va_end(arguments);                              \
        return open_any(#name, path, flags, mode);      \
    }

OPEN(open)
OPEN(open64)

int fsync(int fd) { return fd_below(fd) && fault("fsync") < 0 ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fd_below(fd) && fault("fsync") < 0 ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) { return below(to) && fault("rename") < 0 ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return below(path) && fault("unlink") < 0 ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return below(path) && fault("mkdir") < 0 ? -1 : REAL(mkdir)(path, mode); }
int rmdir(const char *path) { return below(path) && fault("rmdir") < 0 ? -1 : REAL(rmdir)(path); }
int ftruncate(int fd, off_t n) { return fd_below(fd) && fault("truncate") < 0 ? -1 : REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { return fd_below(fd) && fault("truncate") < 0 ? -1 : REAL(ftruncate64)(fd, n); }

int posix_fallocate(int fd, off_t at, off_t n)
{
    return fd_below(fd) && fault("allocate") < 0 ? errno : REAL(posix_fallocate)(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return fd_below(fd) && fault("allocate") < 0 ? errno : REAL(posix_fallocate64)(fd, at, n);
}
