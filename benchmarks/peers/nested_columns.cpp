// nested_columns WORKLOAD FILE: the nested messages of a file, one per line, into columns. A line "check" on standard
// input has it print a checksum of the columns, a line "run" the seconds that it takes to fill them.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "nested_columns.hpp"

using namespace nested;

constexpr size_t kBatchRows = 65'536, kBatchBytes = 8 << 20;

class Jetstream {
 public:
  size_t push(Source& source, ondemand::document& document) {
    ondemand::object o = document.get_object();
    ondemand::raw_json_string did = o["did"].get_raw_json_string();
    int64_t time = o["time_us"].get_int64();
    ondemand::raw_json_string kind = o["kind"].get_raw_json_string();
    if (kind.unsafe_is_equal("commit")) {
      push(0, commits, source, did, time, o["commit"].value());
    } else if (kind.unsafe_is_equal("identity")) {
      push(1, identities, source, did, time, o["identity"].value());
    } else if (kind.unsafe_is_equal("account")) {
      push(2, accounts, source, did, time, o["account"].value());
    } else {
      refuse();
    }
    return 1;
  }
  void clear() {
    types.clear();
    commits.clear(), identities.clear(), accounts.clear();
  }
  void add(Checksum& sum) const { commits.add(sum), identities.add(sum), accounts.add(sum); }

 private:
  template <class Column>
  struct Table {
    Utf8 did;
    Integer time_us;
    Column column;
    void clear() { did.clear(), time_us.clear(), column.clear(); }
    void add(Checksum& sum) const { did.add(sum), time_us.add(sum), column.add(sum); }
  };
  std::vector<uint8_t> types;  // In the order of the stream, as the rows of a batch know their table.
  Table<Struct<Field<"rev", Utf8>, Field<"operation", Utf8>, Field<"collection", Utf8>, Field<"rkey", Utf8>,
               Field<"record", Optional<Json>>, Field<"cid", Optional<Utf8>>>>
      commits;
  Table<Struct<Field<"did", Utf8>, Field<"seq", Integer>, Field<"time", Time>, Field<"handle", Optional<Utf8>>>> identities;
  Table<Struct<Field<"active", Boolean>, Field<"did", Utf8>, Field<"seq", Integer>, Field<"time", Time>,
               Field<"status", Optional<Utf8>>>>
      accounts;

  template <class T>
  void push(uint8_t type, T& table, Source& source, ondemand::raw_json_string did, int64_t time, ondemand::value value) {
    types.push_back(type);
    table.did.push(source, did);
    table.time_us.push(time);
    table.column.push(source, value);
  }
};

class Depth {
 public:
  size_t push(Source& source, ondemand::document& document) {
    ondemand::object o = document.get_object();
    if (!ondemand::raw_json_string(o["e"].get_raw_json_string()).unsafe_is_equal("depthUpdate")) refuse();
    time.push(source, o["E"].value());
    symbol.push(source, o["s"].value());
    first.push(source, o["U"].value());
    last.push(source, o["u"].value());
    bids.push(source, o["b"].value());
    asks.push(source, o["a"].value());
    return 1;
  }
  void clear() { time.clear(), symbol.clear(), first.clear(), last.clear(), bids.clear(), asks.clear(); }
  void add(Checksum& sum) const { time.add(sum), symbol.add(sum), first.add(sum), last.add(sum), bids.add(sum), asks.add(sum); }

 private:
  Integer time, first, last;
  Utf8 symbol;
  List<List<Utf8>> bids, asks;
};

using Texts = Defaulted<Map<Utf8>>;
using OwnerReference = Struct<Field<"apiVersion", Utf8>, Field<"kind", Utf8>, Field<"name", Utf8>, Field<"uid", Utf8>,
                              Field<"controller", Defaulted<Boolean>>>;
using ObjectMeta =
    Struct<Field<"name", Utf8>, Field<"namespace", Utf8>, Field<"uid", Utf8>, Field<"resourceVersion", Utf8>,
           Field<"creationTimestamp", Time>, Field<"generateName", Optional<Utf8>>, Field<"deletionTimestamp", Optional<Time>>,
           Field<"labels", Texts>, Field<"annotations", Texts>, Field<"ownerReferences", Defaulted<List<OwnerReference>>>>;
using ContainerPort =
    Struct<Field<"containerPort", Integer>, Field<"name", Optional<Utf8>>, Field<"protocol", Optional<Utf8>>>;
using EnvVar = Struct<Field<"name", Utf8>, Field<"value", Optional<Utf8>>>;
using Resources = Struct<Field<"limits", Texts>, Field<"requests", Texts>>;
using VolumeMount = Struct<Field<"name", Utf8>, Field<"mountPath", Utf8>, Field<"readOnly", Defaulted<Boolean>>>;
using Container =
    Struct<Field<"name", Utf8>, Field<"image", Utf8>, Field<"resources", Resources>, Field<"args", Defaulted<List<Utf8>>>,
           Field<"ports", Defaulted<List<ContainerPort>>>, Field<"env", Defaulted<List<EnvVar>>>,
           Field<"volumeMounts", Defaulted<List<VolumeMount>>>, Field<"imagePullPolicy", Optional<Utf8>>>;
using PodSpec = Struct<Field<"containers", List<Container>>, Field<"volumes", Defaulted<List<Json>>>,
                       Field<"restartPolicy", Optional<Utf8>>, Field<"terminationGracePeriodSeconds", Optional<Integer>>,
                       Field<"serviceAccountName", Optional<Utf8>>, Field<"nodeName", Optional<Utf8>>,
                       Field<"schedulerName", Optional<Utf8>>, Field<"priority", Optional<Integer>>>;
using Condition =
    Struct<Field<"type", Utf8>, Field<"status", Utf8>, Field<"lastProbeTime", Optional<Time>>,
           Field<"lastTransitionTime", Time>, Field<"reason", Optional<Utf8>>, Field<"message", Optional<Utf8>>>;
using Running = Struct<Field<"startedAt", Time>>;
using Waiting = Struct<Field<"reason", Utf8>, Field<"message", Optional<Utf8>>>;
using Terminated =
    Struct<Field<"exitCode", Integer>, Field<"reason", Utf8>, Field<"startedAt", Time>, Field<"finishedAt", Time>>;
using ContainerState = Struct<Field<"running", Optional<Running>>, Field<"waiting", Optional<Waiting>>,
                              Field<"terminated", Optional<Terminated>>>;
using ContainerStatus =
    Struct<Field<"name", Utf8>, Field<"state", ContainerState>, Field<"ready", Boolean>, Field<"restartCount", Integer>,
           Field<"image", Utf8>, Field<"imageID", Utf8>, Field<"containerID", Optional<Utf8>>,
           Field<"started", Optional<Boolean>>>;
using PodStatus = Struct<Field<"phase", Utf8>, Field<"conditions", Defaulted<List<Condition>>>,
                         Field<"hostIP", Optional<Utf8>>, Field<"podIP", Optional<Utf8>>, Field<"startTime", Optional<Time>>,
                         Field<"containerStatuses", Defaulted<List<ContainerStatus>>>, Field<"qosClass", Optional<Utf8>>>;
using Pod = Struct<Field<"kind", Utf8>, Field<"apiVersion", Utf8>, Field<"metadata", ObjectMeta>, Field<"spec", PodSpec>,
                   Field<"status", PodStatus>>;

class Pods {
 public:
  size_t push(Source& source, ondemand::document& document) {
    events.push(source, ondemand::object(document.get_object()));
    return 1;
  }
  void clear() { events.clear(); }
  void add(Checksum& sum) const { events.add(sum); }

 private:
  Struct<Field<"type", Utf8>, Field<"object", Pod>> events;
};

class Trades {
 public:
  size_t push(Source& source, ondemand::document& document) {
    size_t rows = 0;
    for (ondemand::object o : document.get_array()) {
      ondemand::raw_json_string type = o["T"].get_raw_json_string();
      // The tag may be anywhere.
      o.reset();
      if (type.unsafe_is_equal("t")) {
        types.push_back(0);
        trades.push(source, o);
      } else if (type.unsafe_is_equal("q")) {
        types.push_back(1);
        quotes.push(source, o);
      } else {
        refuse();
      }
      rows++;
    }
    return rows;
  }
  void clear() { types.clear(), trades.clear(), quotes.clear(); }
  void add(Checksum& sum) const { trades.add(sum), quotes.add(sum); }

 private:
  std::vector<uint8_t> types;
  Struct<Field<"T", Nothing>, Field<"i", Integer>, Field<"S", Utf8>, Field<"x", Utf8>, Field<"p", Number>,
         Field<"s", Integer>, Field<"t", Time>, Field<"c", List<Utf8>>, Field<"z", Utf8>>
      trades;
  Struct<Field<"T", Nothing>, Field<"S", Utf8>, Field<"bx", Utf8>, Field<"bp", Number>, Field<"bs", Integer>,
         Field<"ax", Utf8>, Field<"ap", Number>, Field<"as", Integer>, Field<"t", Time>, Field<"c", List<Utf8>>,
         Field<"z", Utf8>>
      quotes;
};

// The flat agent events, by the columns of the other clients.
class Agents {
 public:
  void push(const char* text, size_t size) { columns.add(text, size); }
  bool is_complete() const { return columns.refused == 0; }

 private:
  Columns columns;
};

struct Message {
  const char* text;
  size_t size;
};

template <class Tables>
class Decoder {
 public:
  // All messages once; their checksum is added up only if it is asked for.
  void decode(const std::vector<Message>& messages, Checksum* sum) {
    size_t rows = 0, bytes = 0;
    for (const Message& message : messages) {
      Source source{parser, message.size};
      ondemand::document document = parser.iterate(message.text, message.size, message.size + simdjson::SIMDJSON_PADDING);
      rows += tables.push(source, document);
      bytes += message.size;
      if (rows >= kBatchRows || bytes >= kBatchBytes) {
        finish(rows, sum);
        rows = bytes = 0;
      }
    }
    finish(rows, sum);
  }

 private:
  ondemand::parser parser;
  Tables tables;

  void finish(size_t rows, Checksum* sum) {
    if (sum) {
      sum->rows += rows;
      tables.add(*sum);
    }
    tables.clear();
  }
};

template <>
void Decoder<Agents>::decode(const std::vector<Message>& messages, Checksum* sum) {
  for (const Message& message : messages) tables.push(message.text, message.size);
  if (!tables.is_complete()) refuse();
  if (sum) sum->rows += messages.size();
}

template <class Tables>
int serve(const std::vector<Message>& messages) {
  Decoder<Tables> decoder;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "check") {
      Checksum sum;
      decoder.decode(messages, &sum);
      std::printf(
          "{\"rows\": %lu, \"integers\": %lu, \"numbers\": %lu, \"trues\": %lu, \"text\": %lu, \"times\": %lu, \"items\": %lu, "
          "\"entries\": %lu, \"keys\": %lu, \"json\": %lu}\n",
          sum.rows, sum.integers, sum.numbers, sum.trues, sum.text, sum.times, sum.items, sum.entries, sum.keys, sum.json);
    } else {
      double wall = wall_seconds();
      decoder.decode(messages, nullptr);
      std::printf("{\"seconds\": %.9f}\n", wall_seconds() - wall);
    }
    std::fflush(stdout);
  }
  return 0;
}

int main(int, char** argv) try {
  std::ifstream file(argv[2], std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  // The parser reads whole vectors.
  text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  std::vector<Message> messages;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    messages.push_back({text.data() + at, end - at});
    at = end + 1;
  }
  std::string_view workload = argv[1];
  if (workload == "jetstream") return serve<Jetstream>(messages);
  if (workload == "depth") return serve<Depth>(messages);
  if (workload == "pods") return serve<Pods>(messages);
  if (workload == "trades") return serve<Trades>(messages);
  if (workload == "agents") return serve<Agents>(messages);
  return std::fprintf(stderr, "no workload %s\n", argv[1]), 2;
} catch (const std::exception& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
