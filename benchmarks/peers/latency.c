// The least that a client of the latency benchmark can take: poll, recv, walk the frames, find the due time.
// Usage: latency PORT PATH; writes each latency to standard output, as 8 bytes in this machine's order, in nanoseconds.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CAPACITY (1 << 20)
static char buffer[CAPACITY + 1];

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// The number behind "due": in the payload; -1: there is none.
static int64_t due_of(const char* payload, size_t n) {
  static const char name[] = "\"due\":";
  for (const char* p = payload; p + sizeof name <= payload + n; p++)
    if (*p == '"' && memcmp(p, name, sizeof name - 1) == 0) return atoll(p + sizeof name - 1);
  return -1;
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: latency PORT PATH\n"), 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (connect(s, (void*)&address, sizeof address)) return perror("connect"), 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char request[1024];
  int size = snprintf(request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", argv[2]);
  if (size >= (int)sizeof request || send(s, request, (size_t)size, 0) != size) return perror("send"), 1;
  size_t have = 0, count = 0, room = 1 << 16;
  int64_t* latencies = malloc(room * sizeof *latencies);
  for (int open = 0, closed = 0; !closed && latencies;) {
    struct pollfd readable = {s, POLLIN, 0};
    poll(&readable, 1, -1);
    ssize_t got = recv(s, buffer + have, CAPACITY - have, 0);
    if (got <= 0) break;
    have += (size_t)got;
    buffer[have] = 0;
    char *p = buffer, *end = buffer + have;
    if (!open) {
      char* answer_end = strstr(buffer, "\r\n\r\n");
      if (!answer_end) continue;
      open = 1;
      p = answer_end + 4;
    }
    while (end - p >= 2) {
      size_t n = p[1] & 127, head = 2;
      if (n == 126) {
        if (end - p < 4) break;
        n = (size_t)(uint8_t)p[2] << 8 | (uint8_t)p[3];
        head = 4;
      }
      if ((size_t)(end - p) < head + n) break;
      if ((p[0] & 15) == 8) {
        closed = 1;
        break;
      }
      int64_t due = due_of(p + head, n);
      if (count == room) {
        room *= 2;
        latencies = realloc(latencies, room * sizeof *latencies);
        if (!latencies) return 1;
      }
      latencies[count++] = now_ns() - due;
      p += head + n;
    }
    have = (size_t)(end - p);
    memmove(buffer, p, have);
  }
  close(s);
  return fwrite(latencies, sizeof *latencies, count, stdout) == count ? 0 : 1;
}
