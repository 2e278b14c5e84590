// floor PORT discard|frames: what no client can be faster than. It asks for the stream and reads 256 KiB at a time:
// discard: looks for the close frame at the end of what it read, and at nothing else.
// frames: walks the frame headers (RFC 6455 section 5.2), and looks at no payload.
// Prints JSON: events (frames only), bytes of the wire, seconds and CPU seconds from the upgrade to the close frame.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int count, char** argv) {
  if (count != 3) return fprintf(stderr, "usage: floor PORT discard|frames\n"), 2;
  int walk = strcmp(argv[2], "frames") == 0, s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(s, (void*)&server, sizeof server)) return perror("connect"), 1;
  const char* request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  if (write(s, request, strlen(request)) < 0) return perror("write"), 1;
  // Room for the largest message and one read.
  size_t chunk = 256 * 1024, capacity = (4 << 20) + chunk, size = 0;
  uint8_t *data = malloc(capacity), *body = NULL;
  if (!data) return 1;
  while (!body) {
    ssize_t n = recv(s, data + size, chunk, 0);
    if (n <= 0) return perror("recv"), 1;
    size += (size_t)n;
    body = memmem(data, size, "\r\n\r\n", 4);
  }
  body += 4;
  size -= (size_t)(body - data);
  memmove(data, body, size);
  double wall_start = wall(), cpu_start = cpu();
  uint64_t events = 0, bytes = size;
  if (!walk) {
    uint32_t tail = 0;
    for (size_t n = size;;) {
      for (size_t i = n > 4 ? n - 4 : 0; i < n; i++) tail = tail << 8 | data[i];
      if (tail == 0x880203e8) break;
      ssize_t k = recv(s, data, chunk, 0);
      if (k <= 0) break;
      bytes += n = (size_t)k;
    }
  } else {
    for (size_t at = 0;;) {
      int closed = 0;
      while (size - at >= 2) {
        size_t header = 2;
        uint64_t length = data[at + 1] & 127;
        if (length == 126) {
          if (size - at < 4) break;
          length = (uint64_t)data[at + 2] << 8 | data[at + 3], header = 4;
        } else if (length == 127) {
          if (size - at < 10) break;
          length = 0, header = 10;
          for (int i = 2; i < 10; i++) length = length << 8 | data[at + (size_t)i];
        }
        if (size - at < header + length) break;
        if ((data[at] & 15) == 8) {
          closed = 1;
          break;
        }
        events++, at += header + length;
      }
      if (closed) break;
      memmove(data, data + at, size - at);
      size -= at, at = 0;
      ssize_t k = recv(s, data + size, chunk < capacity - size ? chunk : capacity - size, 0);
      if (k <= 0) break;
      size += (size_t)k, bytes += (uint64_t)k;
    }
  }
  double seconds = wall() - wall_start, used = cpu() - cpu_start;
  printf("{\"events\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
         (unsigned long long)events, (unsigned long long)bytes, seconds, used);
}
