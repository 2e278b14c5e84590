// Columns of nested values, as Arrow lays them out, filled by simdjson's on-demand parser in one pass.
//
// A column has: push, of a value; push_default, for a row in which there is none; clear, which keeps the memory; add,
// to a checksum. A type is written as it is read: Struct<Field<"bids", List<Utf8>>, ...>.
#pragma once
#include <algorithm>
#include <tuple>

#include "columns.hpp"

namespace nested {

namespace ondemand = simdjson::ondemand;

// All sums are modulo 2^64.
struct Checksum {
  uint64_t rows = 0, integers = 0, numbers = 0, trues = 0, text = 0, times = 0, items = 0, entries = 0, keys = 0, json = 0;
};

[[noreturn]] inline void refuse() { throw simdjson::simdjson_error(simdjson::INCORRECT_TYPE); }

// The message that is read.
struct Source {
  ondemand::parser& parser;
  // No text in it is longer.
  size_t size;
};

class Utf8 {
 public:
  void push(Source& source, ondemand::value value) { push(source, value.get_raw_json_string()); }
  // Unescaped to where it stays, without the parser's own buffer between.
  void push(Source& source, ondemand::raw_json_string raw) {
    uint8_t* at = room(source.size);
    if (auto error = source.parser.unescape(raw, at).error()) throw simdjson::simdjson_error(error);
    end(at);
  }
  void push_copy(std::string_view text) {
    uint8_t* at = room(text.size());
    std::memcpy(at, text.data(), text.size());
    end(at + text.size());
  }
  void push_default() { ends.push_back(ends.back()); }
  void clear() { ends.resize(1); }
  void add(Checksum& sum) const { sum.text += size(); }
  size_t size() const { return ends.back(); }

 private:
  std::vector<uint32_t> ends{0};
  std::vector<uint8_t> bytes = std::vector<uint8_t>(1 << 16);

  uint8_t* room(size_t more) {
    // The parser writes whole vectors.
    size_t least = size() + more + simdjson::SIMDJSON_PADDING;
    if (least > bytes.size()) bytes.resize(2 * least);
    return bytes.data() + size();
  }
  void end(uint8_t* at) { ends.push_back(static_cast<uint32_t>(at - bytes.data())); }
};

// A free-form object, kept as its text.
class Json {
 public:
  void push(Source&, ondemand::value value) { texts.push_copy(ondemand::object(value.get_object()).raw_json()); }
  void push_default() { texts.push_default(); }
  void clear() { texts.clear(); }
  void add(Checksum& sum) const { sum.json += texts.size(); }

 private:
  Utf8 texts;
};

// A key that is known, and has no column. Its value need not be read: the parser goes on behind it.
struct Nothing {
  void push(Source&, ondemand::value) {}
  void push_default() {}
  void clear() {}
  void add(Checksum&) const {}
};

template <class T>
class Values {
 public:
  void push_default() { values.push_back(T{}); }
  void clear() { values.clear(); }

 protected:
  std::vector<T> values;
};

struct Integer : Values<int64_t> {
  void push(Source&, ondemand::value value) { values.push_back(value.get_int64()); }
  void push(int64_t value) { values.push_back(value); }
  void add(Checksum& sum) const {
    for (int64_t value : values) sum.integers += static_cast<uint64_t>(value);
  }
};

struct Number : Values<double> {
  void push(Source&, ondemand::value value) { values.push_back(value.get_double()); }
  void add(Checksum& sum) const {
    for (double value : values) {
      uint64_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      sum.numbers += bits;
    }
  }
};

struct Boolean : Values<uint8_t> {
  void push(Source&, ondemand::value value) { values.push_back(bool(value.get_bool())); }
  void add(Checksum& sum) const {
    for (uint8_t value : values) sum.trues += value;
  }
};

// Microseconds since 1970, of RFC 3339; what is finer is cut off.
struct Time : Values<int64_t> {
  void push(Source&, ondemand::value value) {
    ondemand::raw_json_string raw = value.get_raw_json_string();
    values.push_back(microseconds(raw.raw()));
  }
  void add(Checksum& sum) const {
    for (int64_t value : values) sum.times += static_cast<uint64_t>(value);
  }

 private:
  // A quotation mark ends the text, so no check goes beyond it.
  static int64_t microseconds(const char* text) {
    if (!is_number(text, 4) || text[4] != '-' || !is_number(text + 5, 2) || text[7] != '-' || !is_number(text + 8, 2) ||
        (text[10] | 0x20) != 't' || !is_number(text + 11, 2) || text[13] != ':' || !is_number(text + 14, 2) ||
        text[16] != ':' || !is_number(text + 17, 2))
      refuse();
    int64_t year = number(text, 4), month = number(text + 5, 2), day = number(text + 8, 2);
    int64_t hour = number(text + 11, 2), minute = number(text + 14, 2), second = number(text + 17, 2);
    if (month < 1 || month > 12 || day < 1 || day > days_of(year, month) || hour > 23 || minute > 59 || second > 59) refuse();
    int64_t out = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second, fraction = 0, scale = 1'000'000;
    const char* at = text + 19;
    if (*at == '.') {
      if (!is_number(++at, 1)) refuse();
      for (; is_number(at, 1); at++) {
        scale /= 10;
        fraction += (*at - '0') * scale;
      }
    }
    if ((*at | 0x20) == 'z') {
      at++;
    } else {
      if ((*at != '+' && *at != '-') || !is_number(at + 1, 2) || at[3] != ':' || !is_number(at + 4, 2)) refuse();
      int64_t offset = (number(at + 1, 2) * 60 + number(at + 4, 2)) * 60;
      out -= *at == '+' ? offset : -offset;
      at += 6;
    }
    if (*at != '"') refuse();
    return out * 1'000'000 + fraction;
  }
  static bool is_number(const char* text, int digits) {
    for (int i = 0; i < digits; i++)
      if (static_cast<unsigned char>(text[i] - '0') > 9) return false;
    return true;
  }
  static int64_t number(const char* text, int digits) {
    int64_t out = 0;
    for (int i = 0; i < digits; i++) out = out * 10 + (text[i] - '0');
    return out;
  }
  static int64_t days_of(int64_t year, int64_t month) {
    if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return 30 + ((month + (month > 7)) & 1);
  }
  // Of the proleptic Gregorian calendar since 1970, by years that begin in March.
  static int64_t days(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719'468;
  }
};

template <class Column>
class List {
 public:
  void push(Source& source, ondemand::value value) { push(source, ondemand::array(value.get_array())); }
  void push(Source& source, ondemand::array array) {
    uint32_t size = ends.back();
    for (ondemand::value item : array) {
      items.push(source, item);
      size++;
    }
    ends.push_back(size);
  }
  void push_default() { ends.push_back(ends.back()); }
  void clear() {
    ends.resize(1);
    items.clear();
  }
  void add(Checksum& sum) const {
    sum.items += ends.back();
    items.add(sum);
  }

 private:
  std::vector<uint32_t> ends{0};
  Column items;
};

template <class Column>
class Map {
 public:
  void push(Source& source, ondemand::value value) {
    uint32_t size = ends.back();
    for (ondemand::field field : value.get_object()) {
      keys.push(source, field.key());
      values.push(source, field.value());
      size++;
    }
    ends.push_back(size);
  }
  void push_default() { ends.push_back(ends.back()); }
  void clear() {
    ends.resize(1);
    keys.clear();
    values.clear();
  }
  void add(Checksum& sum) const {
    sum.entries += ends.back();
    sum.keys += keys.size();
    values.add(sum);
  }

 private:
  std::vector<uint32_t> ends{0};
  Utf8 keys;
  Column values;
};

// A column with nulls, of null and of what is not there.
template <class Column>
class Optional {
 public:
  static constexpr bool required = false;
  void push(Source& source, ondemand::value value) {
    if (value.is_null()) return push_default();
    valid.push_back(1);
    column.push(source, value);
  }
  void push_default() {
    valid.push_back(0);
    column.push_default();
  }
  void clear() {
    valid.clear();
    column.clear();
  }
  void add(Checksum& sum) const { column.add(sum); }

 private:
  std::vector<uint8_t> valid;
  Column column;
};

// What is not there is false, 0 or empty.
template <class Column>
struct Defaulted : Column {
  static constexpr bool required = false;
};

template <size_t N>
struct Name {
  char text[N];
  consteval Name(const char (&from)[N]) { std::copy_n(from, N, text); }
};

template <Name name, class Column>
struct Field {
  static constexpr std::string_view key{name.text, sizeof name.text - 1};
  static constexpr bool required = [] {
    if constexpr (requires { Column::required; }) return Column::required;
    return true;
  }();
  Column column;
};

template <class... Fields>
class Struct {
 public:
  void push(Source& source, ondemand::value value) { push(source, ondemand::object(value.get_object())); }
  void push(Source& source, ondemand::object object) { push(source, object, std::index_sequence_for<Fields...>()); }
  void push_default() {
    std::apply([](auto&... field) { (field.column.push_default(), ...); }, fields);
  }
  void clear() {
    std::apply([](auto&... field) { (field.column.clear(), ...); }, fields);
  }
  void add(Checksum& sum) const {
    std::apply([&](auto&... field) { (field.column.add(sum), ...); }, fields);
  }

 private:
  std::tuple<Fields...> fields;

  // Keys are looked for behind the last one first: in the order of the type every one is found by one comparison.
  template <size_t... I>
  void push(Source& source, ondemand::object object, std::index_sequence<I...>) {
    uint64_t seen = 0;
    size_t next = 0;
    auto take = [&]<size_t i>(std::integral_constant<size_t, i>, ondemand::field& field) {
      if (!field.key().unsafe_is_equal(std::tuple_element_t<i, std::tuple<Fields...>>::key)) return false;
      if (seen >> i & 1) refuse();
      seen |= uint64_t{1} << i;
      next = i + 1;
      std::get<i>(fields).column.push(source, field.value());
      return true;
    };
    for (ondemand::field field : object) {
      if (((I >= next && take(std::integral_constant<size_t, I>(), field)) || ...)) continue;
      if (((I < next && take(std::integral_constant<size_t, I>(), field)) || ...)) continue;
    }
    if (seen != (uint64_t{1} << sizeof...(I)) - 1) ((seen >> I & 1 ? void() : leave_out<I>()), ...);
  }

  template <size_t i>
  void leave_out() {
    if (std::tuple_element_t<i, std::tuple<Fields...>>::required) refuse();
    std::get<i>(fields).column.push_default();
  }
};

}  // namespace nested
