// A request to stop, set from any thread and looked at between tasks.
#pragma once
#include <atomic>

#include "core/result.h"

namespace attnscope {

class Cancellation {
 public:
  void request() { requested_.store(true, std::memory_order_relaxed); }
  /// Takes the request back: what has been done so far is about to be written out.
  void clear() { requested_.store(false, std::memory_order_relaxed); }
  bool requested() const { return requested_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> requested_{false};
};

/// How a stop on request travels up the call stack; callers turn it into an outcome, users never see it.
inline Error cancelled() { return {"E_CANCELLED", "the run was cancelled"}; }
inline bool is_cancelled(const Error& error) { return error.code == "E_CANCELLED"; }

}  // namespace attnscope
