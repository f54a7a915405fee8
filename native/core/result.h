// Errors as values. The engine never throws, prints or exits; only native/bind turns an Error into an exception.
#pragma once
#include <string>
#include <utility>
#include <variant>

namespace attnscope {

/// What went wrong, for a person: `code` is stable ("E_MODEL_TENSOR_MISSING", see docs/errors.md), `message` one sentence
/// that names the file, the field and the next step.
struct Error {
  std::string code;
  std::string message;
};

/// A value or an Error. `Result<void>` is spelled `Status`.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() { return *std::get_if<0>(&state_); }
  const T& value() const { return *std::get_if<0>(&state_); }
  T take() { return std::move(*std::get_if<0>(&state_)); }
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

struct Unit {};
using Status = Result<Unit>;
inline Status success() { return Status(Unit{}); }

}  // namespace attnscope
