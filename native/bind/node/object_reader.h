// Reads fields of a JavaScript object with checks that name the field, so that a bad value never reaches the engine.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bind/node/js_error.h"
#include "core/dtype.h"

namespace attnscope::node {

class ObjectReader {
 public:
  /// `path` names the object in messages ("model.rope"); `code` is the error's code.
  ObjectReader(Napi::Value value, std::string path, std::string code);

  /// Whether the field is there and not undefined.
  bool has(const char* field) const { return !object_.Get(field).IsUndefined(); }
  ObjectReader object(const char* field) const;
  Napi::Array array(const char* field) const;
  std::string string(const char* field) const;
  bool boolean(const char* field) const;
  double number(const char* field) const;
  /// A whole number from 0 to `most`.
  std::uint64_t count(const char* field, std::uint64_t most) const;
  std::uint32_t u32(const char* field) const { return static_cast<std::uint32_t>(count(field, 0xffffffffu)); }
  DType dtype(const char* field) const;
  std::vector<std::uint32_t> u32_array(const char* field) const;
  std::vector<std::uint8_t> u8_array(const char* field) const;
  std::vector<std::int32_t> i32_array(const char* field) const;

  [[noreturn]] void refuse(const std::string& field, const std::string& wanted) const;

 private:
  std::string name(const std::string& field) const { return path_.empty() ? field : path_ + "." + field; }

  Napi::Object object_;
  std::string path_, code_;
};

/// "f32" | "f16" | "bf16"; false for anything else.
bool parse_dtype(const std::string& name, DType& dtype);

}  // namespace attnscope::node
