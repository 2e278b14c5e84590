// The agent's events in column vectors, by simdjson.
#pragma once
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "simdjson.h"

inline double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

struct Text {
  std::vector<uint32_t> ends{0};
  std::vector<char> bytes = std::vector<char>(1 << 16);
  void push(std::string_view text) {
    size_t size = ends.back();
    if (size + text.size() > bytes.size()) bytes.resize(2 * (size + text.size()));
    std::memcpy(bytes.data() + size, text.data(), text.size());
    ends.push_back(static_cast<uint32_t>(size + text.size()));
  }
  void clear() { ends.resize(1); }
};

struct NullableText : Text {
  std::vector<uint8_t> valid;
  void push(simdjson::ondemand::value value) {
    bool null = value.is_null();
    valid.push_back(!null);
    Text::push(null ? std::string_view{} : std::string_view(value.get_string()));
  }
  void clear() {
    Text::clear();
    valid.clear();
  }
};

struct TextList : Text {
  std::vector<uint32_t> lists{0};
  void push(simdjson::ondemand::array items) {
    for (auto item : items) Text::push(item.get_string());
    lists.push_back(static_cast<uint32_t>(ends.size() - 1));
  }
  void clear() {
    Text::clear();
    lists.resize(1);
  }
};

class Columns {
 public:
  uint64_t messages = 0, refused = 0;
  std::vector<uint8_t> types;  // In the order of the stream, as the rows of a batch know their table.

  // `size` bytes at `text`, behind which SIMDJSON_PADDING more can be read.
  void add(const char* text, size_t size) {
    messages++;
    try {
      auto document = parser.iterate(text, size, size + simdjson::SIMDJSON_PADDING);
      simdjson::ondemand::object o = document.get_object();
      std::string_view type = o["type"].get_string();
      if (type == "kb_change") {
        types.push_back(0);
        term_id.push(o["term_id"].get_string());
        sort.push(o["sort"].get_string());
        change_type.push(o["change_type"].get_string());
      } else if (type == "cycle_complete") {
        types.push_back(1);
        agent_id.push(o["agent_id"].get_string());
        actions.push_back(o["actions_executed"].get_int64());
        beliefs.push_back(o["beliefs_updated"].get_int64());
        reviews.push(o["pending_reviews"].get_array());
      } else if (type == "attention_shift") {
        types.push_back(2);
        from.push(o["from"].value());
        to.push(o["to"].get_string());
        priority.push_back(o["priority"].get_double());
      } else if (type == "goal_completed") {
        types.push_back(3);
        goal_id.push(o["goal_id"].get_string());
        success.push_back(bool(o["success"].get_bool()));
        result.push(o["result"].value());
      } else if (type == "hitl_request") {
        types.push_back(4);
        review_id.push(o["review_id"].get_string());
        action_sort.push(o["action_sort"].get_string());
        confidence.push_back(o["confidence"].get_double());
        deadline.push(o["deadline"].value());
      } else if (type == "impasse_detected") {
        types.push_back(5);
        blocked_goal.push(o["blocked_goal"].get_string());
        impasse_type.push(o["impasse_type"].get_string());
        suggestions.push(o["recovery_suggestions"].get_array());
      } else if (type == "heartbeat") {
        types.push_back(6);
        timestamp.push(o["timestamp"].get_string());
      } else if (type == "error") {
        types.push_back(7);
        code.push(o["code"].get_string());
        message.push(o["message"].get_string());
      } else {
        refused++;
      }
    } catch (const simdjson::simdjson_error&) {
      refused++;
    }
    if (messages % 8192 == 0) clear();
  }

  void report(double wall, double cpu) {
    std::printf("{\"events\": %lu, \"refused\": %lu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"kept\": %zu}\n",
                messages, refused, wall, cpu, priority.size() + term_id.ends.size());
    std::fflush(stdout);
  }

 private:
  simdjson::ondemand::parser parser;
  Text term_id, sort, change_type, agent_id, to, goal_id, review_id, action_sort, blocked_goal, impasse_type, timestamp,
      code, message;
  NullableText from, result, deadline;
  TextList reviews, suggestions;
  std::vector<int64_t> actions, beliefs;
  std::vector<double> priority, confidence;
  std::vector<uint8_t> success;

  void clear() {
    types.clear();
    for (Text* text : {&term_id, &sort, &change_type, &agent_id, &to, &goal_id, &review_id, &action_sort, &blocked_goal,
                       &impasse_type, &timestamp, &code, &message})
      text->clear();
    for (NullableText* text : {&from, &result, &deadline}) text->clear();
    for (TextList* list : {&reviews, &suggestions}) list->clear();
    actions.clear(), beliefs.clear(), priority.clear(), confidence.clear(), success.clear();
  }
};
