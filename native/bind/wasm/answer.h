// What a call gives back beyond one number: up to eight arrays, read by the loader before its next call.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"

namespace attnscope::wasm {

struct Answer {
  struct Column {
    const void* data = nullptr;
    std::uint32_t length = 0;  // in elements
  };
  std::array<Column, 8> columns;
  std::shared_ptr<const void> owner;  // of the columns, where nothing else holds them
  std::string error;                  // "CODE message" of the call that failed

  /// Keeps `value` until the next answer; set() then points into it.
  template <class T>
  const T& hold(T value) {
    auto held = std::make_shared<const T>(std::move(value));
    const T& kept = *held;
    columns = {};
    owner = std::move(held);
    return kept;
  }
  template <class Container>
  void set(std::size_t column, const Container& values) {
    columns[column] = {values.data(), static_cast<std::uint32_t>(values.size())};
  }
  bool fail(const Error& reason) {
    error = reason.code + " " + reason.message;
    return false;
  }
  template <class T>
  bool check(const Result<T>& result) { return result.ok() || fail(result.error()); }
};

/// The one answer of this module, which has one thread.
Answer& answer();

}  // namespace attnscope::wasm
