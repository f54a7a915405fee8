// What to measure. Every field has a text form (timing_options.h), so that the command line, the plain executable and tests
// mean the same by the same words.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/policy/policy.h"

namespace attnscope {

struct TimingShape {
  std::uint32_t heads = 8, kv_heads = 2, head_dim = 128;
};

/// Queries, keys and values of one layer of a capture, as stored: [heads or kv_heads][tokens][head_dim].
struct CapturedLayer {
  std::string name;                        // for messages
  TimingShape shape;
  std::uint32_t tokens = 0;
  std::vector<float> q, k, v;
};

struct TimingPlan {
  std::string device = "cpu";              // "cpu", "cuda" or "cuda:1"
  std::uint32_t threads = 0;               // of the CPU; 0: all
  DType dtype = DType::f32;
  std::vector<TimingShape> shapes;
  std::vector<std::uint32_t> lengths;      // tokens
  std::vector<std::uint32_t> edges;        // lengths that are also measured one token shorter and longer
  std::vector<std::string> ops;            // of timing_ops(); empty: all
  /// "id:name=value" or "id:preset=NAME"; a preset followed by "@N" is scaled to each length.
  std::vector<std::string> policies;
  std::vector<std::uint32_t> runs;         // lengths of synthetic runs of distances; 0: all in one run
  bool synthetic = true;
  std::vector<CapturedLayer> captured;     // indices chosen from these, each at its own length and shape
  bool batched = true, per_head = true;
  std::vector<double> shares;              // of the keys that a decode step reads
  std::vector<std::uint64_t> copies;       // bytes
  std::uint32_t repeats = 30, warmups = 3;
  double cell_seconds = 2;                 // a measurement ends after this long, but not before five repetitions
  double patience = 3;                     // those five may take so many times cell_seconds; else it is left out
  double budget_seconds = 0;               // of the whole run; 0: none
  std::uint64_t memory_bytes = 0;          // most that may be allocated on the device; 0: 80 % of what it has
  bool flush = true;                       // the cache is overwritten before every repetition
  std::uint64_t seed = 0;
};

/// A measurement is not worth its name with fewer repetitions.
inline constexpr std::uint32_t kFewestRepetitions = 5;

/// Operations in the order they are measured, as in column `op`: "dense", "a-shape", ..., "copy".
std::vector<std::string> timing_ops();
inline bool measures(const TimingPlan& plan, std::string_view op) {
  for (const std::string& each : plan.ops)
    if (each == op) return true;
  return plan.ops.empty();
}

/// All lengths with edges, ascending, each once.
std::vector<std::uint32_t> all_lengths(const TimingPlan& plan);

/// The plan's policies with this id at a length, each once. Texts were checked before (validate).
std::vector<PolicyChoice> policies_at(const TimingPlan& plan, std::string_view id, std::uint32_t tokens);

/// E_TIMING_PLAN names what cannot be measured; errors of policies pass through.
Status validate(const TimingPlan& plan);

}  // namespace attnscope
