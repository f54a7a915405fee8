// Runs of tiny models in execution schemes on the CPU's device, for their tests.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "host/device/scheme_run.h"
#include "host/failure.h"
#include "host/kernels/cpu_device.h"
#include "random_model.h"

namespace scheme_case {

using namespace attnscope;
using memory::MiniSequence;
using memory::Offload;
using random_model::Checkpoint;

/// Widths that fill vectors, as those of real models do.
inline ModelPlan even() {
  ModelPlan m = random_model::tiny();
  m.layers = 3, m.heads = 4, m.kv_heads = 2, m.head_dim = 16, m.hidden_size = 72, m.feed_forward_size = 104, m.vocab_size = 131;
  m.attention_scale = 0.25f;
  return m;
}

inline Plan plan_of(const Checkpoint& checkpoint, std::uint32_t tokens, std::uint32_t steps, DType vectors) {
  Plan plan = checkpoint.plan(tokens, 1024, 2);
  plan.vectors = vectors;
  plan.decode_steps = steps;
  plan.forced.clear();
  return plan;
}

inline Result<SchemeResult> try_scheme(const Plan& plan, const SchemePlan& scheme, const std::function<void(const RunProgress&)>& progress = {}) {
  const auto device = open_cpu_device(2);
  Cancellation cancellation;
  return run_scheme(*device, plan, scheme, cancellation, progress);
}

inline SchemeResult run(const Plan& plan, const SchemePlan& scheme, const char* what) {
  auto result = try_scheme(plan, scheme);
  CHECK(result.ok());
  if (result) return result.take();
  std::printf("  %s: %s: %s\n", what, result.error().code.c_str(), result.error().message.c_str());
  return {};
}

inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = a.size() == b.size() && !a.empty() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max(largest, std::fabs(double(a[i]) - double(b[i])));
  return largest;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) { return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0; }

struct Switches {
  std::uint32_t chunk = 0;
  bool last = false;
  std::uint32_t piece = 0, pieces = 0;
  Offload::Unit unit = Offload::Unit::none;
  bool reload = true, disk = false, overlap = true;
};

inline SchemePlan scheme_of(const Switches& s, DType compute) {
  SchemePlan plan;
  plan.compute = compute;
  plan.scheme.chunk_tokens = s.chunk;
  plan.scheme.logits.rows = s.last ? memory::LogitsMode::Rows::last : memory::LogitsMode::Rows::all;
  if (s.piece > 0) plan.scheme.mini.mode = MiniSequence::Mode::by_size, plan.scheme.mini.piece_tokens = s.piece;
  if (s.pieces > 0) plan.scheme.mini.mode = MiniSequence::Mode::by_count, plan.scheme.mini.pieces = s.pieces;
  plan.scheme.offload = {s.unit, s.reload};
  plan.store = s.disk ? SchemePlan::Store::disk : SchemePlan::Store::host;
  plan.overlap = s.overlap;
  plan.keep_logits = !s.last;
  return plan;
}

inline std::string name_of(const Switches& s) {
  return text("chunk ", s.chunk, s.last ? ", last" : "", ", piece ", s.piece, ", pieces ", s.pieces, ", offload ", static_cast<int>(s.unit), s.reload ? ", reload" : "",
              s.disk ? ", disk" : "");
}

constexpr auto kLayer = Offload::Unit::layer, kHead = Offload::Unit::head;

inline std::vector<Switches> all_switches() {
  std::vector<Switches> all;
  for (const std::uint32_t chunk : {0u, 16u, 64u, 77u})
    for (const bool last : {false, true})
      for (const auto& [piece, pieces] : {std::pair(0u, 0u), {10u, 0u}, {0u, 4u}})
        for (const Offload::Unit unit : {Offload::Unit::none, kLayer, kHead})
          for (const bool reload : {true, false}) {
            if (unit == Offload::Unit::none && !reload) continue;
            for (const bool disk : {false, true}) {
              if (disk && (unit == Offload::Unit::none || (last && pieces > 0))) continue;
              all.push_back({chunk, last, piece, pieces, unit, reload, disk, true});
            }
          }
  return all;
}

inline PolicyChoice choice(const char* text) {
  auto parsed = parse_policy(text);
  if (parsed) return parsed.take();
  std::printf("%s: %s\n", text, parsed.error().message.c_str());
  std::exit(1);
}

}  // namespace scheme_case
