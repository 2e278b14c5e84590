// simdjson_client PORT: recv, frames by hand, simdjson.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "columns.hpp"

int main(int, char** argv) {
  constexpr size_t kBuffer = 256 * 1024;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return perror("connect"), 1;
  const char request[] =
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  if (write(fd, request, sizeof request - 1) < 0) return perror("write"), 1;
  std::vector<uint8_t> buffer(kBuffer + simdjson::SIMDJSON_PADDING);
  uint8_t* data = buffer.data();
  size_t size = 0, at = 0;
  while (at == 0) {
    ssize_t n = recv(fd, data + size, kBuffer - size, 0);
    if (n <= 0) return perror("recv"), 1;
    size += static_cast<size_t>(n);
    if (void* end = memmem(data, size, "\r\n\r\n", 4)) at = static_cast<size_t>(static_cast<uint8_t*>(end) + 4 - data);
  }
  Columns columns;
  double wall = wall_seconds(), cpu = cpu_seconds();
  for (bool open = true; open;) {
    while (size - at >= 2) {
      uint64_t length = data[at + 1] & 0x7F;
      size_t header = 2;
      if (length == 126) {
        if (size - at < 4) break;
        length = static_cast<uint64_t>(data[at + 2]) << 8 | data[at + 3];
        header = 4;
      } else if (length == 127) {
        if (size - at < 10) break;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | data[at + i];
        header = 10;
      }
      if (size - at < header + length) break;
      if ((data[at] & 0x0F) == 8) {
        open = false;
        break;
      }
      columns.add(reinterpret_cast<const char*>(data) + at + header, length);
      at += header + length;
    }
    if (!open) break;
    memmove(data, data + at, size - at);
    size -= at;
    at = 0;
    ssize_t n = recv(fd, data + size, kBuffer - size, 0);
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  columns.report(wall_seconds() - wall, cpu_seconds() - cpu);
}
