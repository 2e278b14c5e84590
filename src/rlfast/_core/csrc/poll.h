/* Looking at a socket again and again, instead of sleeping until it is readable. */
#ifndef RLFAST_POLL_H
#define RLFAST_POLL_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
enum { RL_CAN_POLL = 0 };

static inline int64_t rl_monotonic_ns(void)
{
    return 0;
}

static inline int64_t rl_poll_socket(int fd, void *to, size_t n, int64_t until)
{
    (void)fd, (void)to, (void)n, (void)until;
    return 0;
}
#else
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

enum { RL_CAN_POLL = 1 };

static inline int64_t rl_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Read up to n bytes, if there are any before the time is over. Returns how many were read; 0 also when the peer has
 * ended the stream or the socket failed, which whoever reads next is told: both ends of TCP stay ended. */
static inline int64_t rl_poll_socket(int fd, void *to, size_t n, int64_t until)
{
    do {
        ssize_t got = recv(fd, to, n, MSG_DONTWAIT);
        if (got >= 0)
            return got;
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return 0;
    } while (rl_monotonic_ns() < until);
    return 0;
}
#endif

#endif
