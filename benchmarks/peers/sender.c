// sender: an open-loop WebSocket server for measuring latency, and an echo server. One client at a time.
//
//   GET /poisson?rate=R&seconds=S&seed=N           events with exponentially distributed distances
//   GET /bursts?rate=R&seconds=S&seed=N&burst=B    bursts of B events at once, the bursts being Poisson
//   GET /echo                                      every message comes back
//
// The schedule is made before the first event and does not look at the client. Each event holds the time at
// which it is due, in nanoseconds of CLOCK_MONOTONIC, not the time at which it could be sent: a client that
// makes the server wait is charged for the wait (no coordinated omission). What is due is written in one call.
// After twice the scheduled time the rest is given up.
//
// Prints its port; then, after each client, a line of JSON: how late the events left, and CPU seconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <time.h>
#include <unistd.h>

enum { EVENT = 192, CHUNK = 1 << 18 };

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + 1e-6 * (u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int write_all(int s, const char* data, size_t n) {
  while (n) {
    ssize_t k = send(s, data, n, MSG_NOSIGNAL);
    if (k <= 0) return 0;
    data += k, n -= (size_t)k;
  }
  return 1;
}

// SHA-1 (FIPS 180-4) of less than 120 bytes, and its base64: the answer to an upgrade (RFC 6455 section 1.3).
static void accept_key(const char* key, size_t n, char out[29]) {
  uint8_t m[128] = {0}, digest[21] = {0};
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, w[80];
  memcpy(m, key, n);
  memcpy(m + n, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
  n += 36;
  m[n] = 0x80;
  size_t blocks = (n + 8) / 64 + 1;
  for (int i = 0; i < 4; i++) m[blocks * 64 - 1 - i] = (uint8_t)(n * 8 >> 8 * i);
  for (size_t b = 0; b < blocks; b++) {
    for (int i = 0; i < 16; i++) {
      const uint8_t* p = m + 64 * b + 4 * i;
      w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    }
    for (int i = 16; i < 80; i++) {
      uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
      w[i] = x << 1 | x >> 31;
    }
    uint32_t a = h[0], bb = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20 ? ((bb & c) | (~bb & d)) + 0x5A827999
                 : i < 40 ? (bb ^ c ^ d) + 0x6ED9EBA1
                 : i < 60 ? ((bb & c) | (bb & d) | (c & d)) + 0x8F1BBCDC
                          : (bb ^ c ^ d) + 0xCA62C1D6;
      uint32_t t = (a << 5 | a >> 27) + f + e + w[i];
      e = d, d = c, c = bb << 30 | bb >> 2, bb = a, a = t;
    }
    h[0] += a, h[1] += bb, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
  const char* code = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 0; i < 7; i++) {
    uint32_t v = (uint32_t)digest[3 * i] << 16 | digest[3 * i + 1] << 8 | digest[3 * i + 2];
    for (int j = 0; j < 4; j++) out[4 * i + j] = code[v >> (18 - 6 * j) & 63];
  }
  out[27] = '=', out[28] = 0;
}

static uint64_t state;

static double uniform(void) {  // xorshift64*; never 0
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return ((state * 0x2545F4914F6CDD1DULL >> 11) + 1) * 0x1p-53;
}

static double parameter(const char* request, const char* name, double otherwise) {
  const char* end = strstr(request, " HTTP/");
  const char* at = strstr(request, name);
  return at && end && at < end ? atof(at + strlen(name)) : otherwise;
}

static size_t event(char* out, uint64_t number, int64_t due) {
  char* body = out + 4;
  size_t n = (size_t)snprintf(body, EVENT - 4,
      "{\"type\":\"tick\",\"n\":%llu,\"due\":%lld,\"symbol\":\"EUR/USD\",\"price\":%.5f,\"size\":%u,"
      "\"venue\":\"loopback\",\"side\":\"%s\"}",
      (unsigned long long)number, (long long)due, 1.0 + (double)(number % 9973) / 1e4,
      (unsigned)(number % 1000), number & 1 ? "buy" : "sell");
  if (n < 126) {
    out[2] = (char)0x81, out[3] = (char)n;
    memmove(out, out + 2, n + 2);
    return n + 2;
  }
  out[0] = (char)0x81, out[1] = 126, out[2] = (char)(n >> 8), out[3] = (char)n;
  return n + 4;
}

static int by_size(const void* a, const void* b) {
  int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

static void stream(int s, const char* request, int bursts) {
  double rate = parameter(request, "rate=", 1000), seconds = parameter(request, "seconds=", 1);
  int burst = bursts ? (int)parameter(request, "burst=", 100) : 1;
  state = 0x9E3779B97F4A7C15ULL * (uint64_t)(parameter(request, "seed=", 1) + 1);
  size_t count = (size_t)(rate * seconds / burst) * (size_t)burst, sent = 0, calls = 0;
  int64_t* due = malloc((count + 1) * sizeof *due);
  int64_t* late = malloc((count + 1) * sizeof *late);
  char* buffer = malloc(CHUNK + EVENT);
  if (!due || !late || !buffer) exit(1);
  double t = 0;
  for (size_t i = 0; i < count; i++) {
    if (i % (size_t)burst == 0) t -= log(uniform()) * burst / rate * 1e9;
    due[i] = (int64_t)t;
  }
  double cpu = cpu_seconds();
  int64_t start = now_ns() + 100000000, last = start + (int64_t)(2 * seconds * 1e9);
  for (size_t i = 0; i < count; i++) due[i] += start;
  while (sent < count) {
    int64_t now = now_ns();
    if (now > last) break;
    if (due[sent] > now) {
      struct timespec until = {due[sent] / 1000000000, due[sent] % 1000000000};
#ifdef __linux__
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
#else
      int64_t rest = due[sent] - now;
      until = (struct timespec){rest / 1000000000, rest % 1000000000};
      nanosleep(&until, NULL);
#endif
      now = now_ns();
    }
    size_t n = 0;
    for (; sent < count && due[sent] <= now && n < CHUNK; sent++) {
      n += event(buffer + n, sent, due[sent]);
      late[sent] = now - due[sent];
    }
    calls++;
    if (n && !write_all(s, buffer, n)) break;
  }
  char tail[4] = {(char)0x88, 2, 3, (char)0xe8};
  write_all(s, tail, 4);
  cpu = cpu_seconds() - cpu;
  qsort(late, sent, sizeof *late, by_size);
  printf("{\"count\": %zu, \"sent\": %zu, \"writes\": %zu, \"cpu_seconds\": %.6f, \"late_p50\": %lld, "
         "\"late_p99\": %lld, \"late_max\": %lld}\n",
         count, sent, calls, cpu, sent ? (long long)late[sent / 2] : 0,
         sent ? (long long)late[(size_t)((double)sent * 0.99)] : 0, sent ? (long long)late[sent - 1] : 0);
  fflush(stdout);
  free(due), free(late), free(buffer);
}

static int read_exactly(int s, uint8_t* out, size_t n) {
  while (n) {
    ssize_t k = recv(s, out, n, 0);
    if (k <= 0) return 0;
    out += k, n -= (size_t)k;
  }
  return 1;
}

static void echo(int s) {
  static uint8_t frame[4 + 65536];
  double cpu = cpu_seconds();
  size_t count = 0;
  for (;;) {
    uint8_t head[2], wide[2], mask[4];
    if (!read_exactly(s, head, 2)) break;
    size_t n = head[1] & 127;
    if (n == 127) break;
    if (n == 126) {
      if (!read_exactly(s, wide, 2)) break;
      n = (size_t)wide[0] << 8 | wide[1];
    }
    if (!read_exactly(s, mask, 4) || !read_exactly(s, frame + 4, n)) break;
    for (size_t i = 0; i < n; i++) frame[4 + i] ^= mask[i & 3];
    uint8_t* start = n < 126 ? frame + 2 : frame;
    start[0] = head[0];
    if (n < 126) start[1] = (uint8_t)n;
    else start[1] = 126, start[2] = (uint8_t)(n >> 8), start[3] = (uint8_t)n;
    if (!write_all(s, (char*)start, n + (n < 126 ? 2 : 4))) break;
    if ((head[0] & 15) == 8) break;
    count++;
  }
  printf("{\"count\": %zu, \"sent\": %zu, \"cpu_seconds\": %.6f}\n", count, count, cpu_seconds() - cpu);
  fflush(stdout);
}

static void serve(int s) {
  char request[8192];
  size_t n = 0;
  do {
    ssize_t k = recv(s, request + n, sizeof request - 1 - n, 0);
    if (k <= 0) return;
    request[n += (size_t)k] = 0;
  } while (!strstr(request, "\r\n\r\n"));
  char* key = strcasestr(request, "sec-websocket-key:");
  if (!key) return;
  key += strspn(key + 18, " ") + 18;
  char accept[29], answer[256];
  accept_key(key, strcspn(key, " \r\n") < 64 ? strcspn(key, " \r\n") : 64, accept);
  int size = snprintf(answer, sizeof answer,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  if (!write_all(s, answer, (size_t)size)) return;
  if (strstr(request, "GET /echo") == request) return echo(s);
  stream(s, request, strstr(request, "GET /bursts") == request);
  struct timeval patience = {5, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  // The client's close frame: then the server is the one to close TCP (RFC 6455 section 7.1.1).
  recv(s, request, sizeof request, 0);
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, (void*)&address, sizeof address) || listen(listener, 16)) return perror("listen"), 1;
  getsockname(listener, (void*)&address, &size);
#ifdef __linux__
  prctl(PR_SET_TIMERSLACK, 1);  // Otherwise every sleep is up to 50 µs longer.
#endif
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    // Ends with whoever started it: then standard input is closed.
    struct pollfd both[2] = {{listener, POLLIN, 0}, {0, POLLIN, 0}};
    if (poll(both, 2, -1) < 0 && errno != EINTR) return 1;
    if (both[1].revents) return 0;
    if (!(both[0].revents & POLLIN)) continue;
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    serve(client);
    close(client);
  }
}
