// beast_client PORT plain|buffered: Boost.Beast, which reads as it does or through a large buffer, and simdjson.
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

#include "columns.hpp"

namespace beast = boost::beast;
namespace net = boost::asio;
namespace websocket = beast::websocket;
using net::ip::tcp;

// Reads 256 KiB at once from the socket, and hands them on in the pieces that Beast asks for.
class BufferedSocket {
 public:
  using executor_type = tcp::socket::executor_type;
  tcp::socket socket;

  explicit BufferedSocket(net::io_context& context) : socket(context), buffer_(256 * 1024) {}
  executor_type get_executor() { return socket.get_executor(); }

  template <class Buffers>
  size_t read_some(const Buffers& buffers, beast::error_code& error) {
    error = {};
    if (at_ == size_) {
      at_ = 0;
      size_ = socket.read_some(net::buffer(buffer_), error);
      if (error) return size_ = 0;
    }
    size_t n = net::buffer_copy(buffers, net::const_buffer(buffer_.data() + at_, size_ - at_));
    at_ += n;
    return n;
  }
  template <class Buffers>
  size_t read_some(const Buffers& buffers) {
    beast::error_code error;
    size_t n = read_some(buffers, error);
    if (error) throw beast::system_error(error);
    return n;
  }
  template <class Buffers>
  size_t write_some(const Buffers& buffers, beast::error_code& error) {
    return socket.write_some(buffers, error);
  }
  template <class Buffers>
  size_t write_some(const Buffers& buffers) {
    return socket.write_some(buffers);
  }

 private:
  std::vector<char> buffer_;
  size_t at_ = 0, size_ = 0;
};

void teardown(beast::role_type, BufferedSocket& stream, beast::error_code& error) { stream.socket.close(error); }
void beast_close_socket(BufferedSocket& stream) {
  beast::error_code error;
  stream.socket.close(error);
}

template <class Stream>
int receive(Stream& stream) {
  stream.handshake("127.0.0.1", "/");
  Columns columns;
  double wall = wall_seconds(), cpu = cpu_seconds();
  // The clock stops at the close frame: Beast then waits for the server to close TCP.
  stream.control_callback([&](websocket::frame_type kind, beast::string_view) {
    if (kind != websocket::frame_type::close) return;
    columns.report(wall_seconds() - wall, cpu_seconds() - cpu);
    _exit(0);
  });
  beast::flat_buffer buffer;
  buffer.reserve(1 << 16);
  for (beast::error_code error;;) {
    stream.read(buffer, error);
    if (error) return 1;
    auto data = buffer.cdata();
    if (buffer.capacity() < data.size() + simdjson::SIMDJSON_PADDING) {
      buffer.reserve(2 * data.size() + simdjson::SIMDJSON_PADDING);
      data = buffer.cdata();
    }
    columns.add(static_cast<const char*>(data.data()), data.size());
    buffer.consume(buffer.size());
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: beast_client PORT plain|buffered\n"), 2;
  net::io_context context(1);
  tcp::endpoint server(net::ip::make_address("127.0.0.1"), static_cast<unsigned short>(atoi(argv[1])));
  if (std::string_view(argv[2]) == "plain") {
    websocket::stream<tcp::socket, false> stream(context);
    stream.next_layer().connect(server);
    return receive(stream);
  }
  websocket::stream<BufferedSocket, false> stream(context);
  stream.next_layer().socket.connect(server);
  return receive(stream);
}
