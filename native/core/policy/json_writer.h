// JSON text, member after member; commas and escapes are taken care of.
#pragma once
#include <string>
#include <string_view>

namespace attnscope {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  /// The name of the member that follows.
  JsonWriter& name(std::string_view name);
  JsonWriter& string(std::string_view text);
  JsonWriter& number(double value);  // null where it is not finite: JSON has no other word for it
  JsonWriter& boolean(bool value);
  /// name(...) and a value in one.
  JsonWriter& member(std::string_view key, std::string_view text) { return name(key).string(text); }
  JsonWriter& member(std::string_view key, const char* text) { return name(key).string(text); }
  JsonWriter& member(std::string_view key, double value) { return name(key).number(value); }
  JsonWriter& member(std::string_view key, bool value) { return name(key).boolean(value); }

  std::string take() { return std::move(text_); }

 private:
  void separate();
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  std::string text_;
  bool comma_ = false;  // a value came before at this depth
};

}  // namespace attnscope
