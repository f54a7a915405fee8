// What the operations of the CPU device share: threads, their scratch memory, and buffers that outlive a call so that a
// timed repetition pays for no page faults.
#pragma once
#include <array>
#include <vector>

#include "core/attention.h"
#include "host/buffer.h"
#include "host/kernels/kernel_device.h"
#include "host/matmul.h"
#include "host/thread_pool.h"

namespace attnscope::cpu {

inline constexpr Outcome out_of_memory = "E_OUT_OF_MEMORY a kernel's buffers do not fit in memory; use a shorter prompt or fewer heads";

/// Buffers shared by the threads of one operation.
enum Shared { shared_queries, shared_keys, shared_values, shared_partial, shared_flush, shared_input, shared_product, shared_count };
/// Buffers of one thread: slots of its Scratch, beyond those of the core's functions.
enum Slot { slot_queries = 32, slot_scores, slot_output, slot_keys, slot_values, slot_rows, slot_sums, slot_gate, slot_up };

struct Context {
  explicit Context(unsigned threads) : pool(threads), scratch(pool.threads()) {}

  /// At least `count` floats, kept until the next call for the same buffer asks for more; nullptr where they do not fit.
  float* floats(Shared buffer, std::size_t count) {
    Buffer<float>& held = buffers[buffer];
    if (held.size() < count) {
      held = {};
      Result<Buffer<float>> grown = Buffer<float>::allocate(count, "kernels");
      if (!grown) return nullptr;
      held = grown.take();
    }
    return held.data();
  }

  ThreadPool pool;
  MatMul matmul{pool};
  std::vector<Scratch> scratch;
  std::array<Buffer<float>, shared_count> buffers;
};

}  // namespace attnscope::cpu
