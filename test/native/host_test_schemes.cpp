// Execution schemes on the CPU's device: their logits beside the standard run's and beside the CPU runner's.
#include <cmath>
#include <map>

#include "host/policy_run.h"
#include "late_device.h"
#include "scheme_case.h"

using namespace scheme_case;

namespace {

/// Whether some sum or function is computed another way than in the standard run: see scheme_run.h.
bool rounds_differently(const Switches& s, std::uint32_t tokens, std::uint32_t wide) {
  if (tokens <= 3) return false;
  if (s.last || (wide % 8 != 0 && (s.chunk > 0 || s.piece > 0 || s.pieces > 0))) return true;
  const std::uint32_t chunk = s.chunk == 0 ? tokens : s.chunk;
  for (const std::uint32_t call : {std::min(chunk, tokens), tokens % chunk}) {
    if (call == 0) continue;
    const std::uint32_t piece = s.piece > 0 ? std::min(s.piece, call) : s.pieces > 0 ? (call + s.pieces - 1) / s.pieces : call;
    for (const std::uint32_t rows : {call, piece, call % piece})
      if (rows > 0 && rows <= 3) return true;
  }
  return false;
}

double log_probability(std::span<const float> logits, std::uint32_t id) {
  double sum = 0;
  const double top = *std::max_element(logits.begin(), logits.end());
  for (float each : logits) sum += std::exp(each - top);
  return logits[id] - top - std::log(sum);
}

/// The runner on the CPU, which shares no code with a scheme's forward pass.
PolicyRunResult on_runner(const Plan& base, const char* policy, std::uint32_t chunk) {
  PolicyRunPlan plan;
  plan.base = base;
  plan.base.reduce.enabled = false;
  plan.base.store = {};
  plan.base.decode_steps += 1;  // its last token is chosen and never run, a scheme's is
  plan.policies = {choice(policy)};
  plan.assignment.assign(std::size_t(base.model.layers) * base.model.heads, 0);
  plan.schedule.chunk = chunk;
  plan.compare = false;
  Cancellation cancellation;
  auto result = run_policy(plan, cancellation, {});
  CHECK(result.ok());
  return result ? result.take() : PolicyRunResult{};
}

/// Log-probabilities of the chosen tokens; row i of the runner is the query before decoded token i.
double beside_runner(const SchemeResult& scheme, const PolicyRunResult& runner) {
  double worst = std::equal(scheme.decoded.begin(), scheme.decoded.end(), runner.id.begin()) ? 0 : INFINITY;
  const std::size_t vocabulary = scheme.last_logits.size();
  for (std::size_t i = 0; i < std::min(scheme.decoded.size(), runner.id.size()); ++i) {
    const std::span<const float> logits = i == 0 ? std::span<const float>(scheme.last_logits) : std::span(scheme.step_logits).subspan((i - 1) * vocabulary, vocabulary);
    worst = std::max(worst, std::fabs(log_probability(logits, runner.id[i]) - runner.policy_log_probability[i]));
  }
  return worst;
}

}  // namespace

TEST("every scheme gives the standard logits: the same bits, or within rounding where three rows or less are multiplied") {
  std::map<std::pair<bool, DType>, std::pair<int, double>> counts;
  for (const ModelPlan& model : {random_model::tiny(), even()})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Checkpoint checkpoint(model);
      for (const std::uint32_t tokens : {1u, 64u, 203u}) {
        const Plan plan = plan_of(checkpoint, tokens, 5, dtype);
        const SchemeResult standard = run(plan, scheme_of({}, dtype), "standard");
        for (const Switches& s : all_switches()) {
          if (dtype != DType::f32 && s.chunk == 16) continue;
          const std::string name = name_of(s);
          const SchemeResult got = run(plan, scheme_of(s, dtype), name.c_str());
          const bool exact = !rounds_differently(s, tokens, model.feed_forward_size);
          double worst = std::max(largest_difference(got.last_logits, standard.last_logits), largest_difference(got.step_logits, standard.step_logits));
          if (!s.last) worst = std::max(worst, largest_difference(got.logits, standard.logits));
          CHECK(exact ? worst == 0 : worst <= (dtype == DType::f32 ? 1e-5 : 3e-2));
          CHECK(got.decoded == standard.decoded || !exact);
          if (exact) CHECK(same_bits(got.last_logits, standard.last_logits) && same_bits(got.step_logits, standard.step_logits));
          if (exact && !s.last) CHECK(same_bits(got.logits, standard.logits));
          if (exact ? worst != 0 : worst > (dtype == DType::f32 ? 1e-5 : 3e-2)) std::printf("  %u tokens, %s: %g\n", tokens, name.c_str(), worst);
          auto& [count, largest] = counts[{exact, dtype}];
          ++count, largest = std::max(largest, worst);
        }
      }
    }
  for (const auto& [kind, count] : counts)
    std::printf("     %s, %s: %d runs, largest difference %.3g\n", kind.second == DType::f32 ? "f32" : "bf16", kind.first ? "same bits" : "within rounding", count.first, count.second);
}

TEST("offloading changes no bit of the scheme without it, whatever that computes") {
  const Checkpoint checkpoint(random_model::tiny());
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Plan plan = plan_of(checkpoint, 203, 5, dtype);
    for (const Switches& s : {Switches{0, true, 10, 0}, Switches{50, true, 16, 0}, Switches{0, true, 0, 0}, Switches{1, true, 0, 0}}) {
      const SchemeResult resident = run(plan, scheme_of(s, dtype), "resident");
      for (const Offload::Unit unit : {kLayer, kHead})
        for (const int mode : {0, 1, 2, 3, 4}) {
          Switches offloaded = s;
          offloaded.unit = unit, offloaded.reload = (mode & 1) == 0, offloaded.disk = (mode & 2) != 0, offloaded.overlap = mode != 4;
          const SchemeResult got = run(plan, scheme_of(offloaded, dtype), name_of(offloaded).c_str());
          CHECK(same_bits(got.last_logits, resident.last_logits) && same_bits(got.step_logits, resident.step_logits) && got.decoded == resident.decoded);
        }
    }
  }
}

TEST("the standard scheme beside the CPU runner, and retention policies in every scheme") {
  const Checkpoint checkpoint(random_model::tiny());
  double worst = 0;
  const Plan plan = plan_of(checkpoint, 203, 9, DType::f32);
  for (const char* policy : {"streaming-llm:sink=4,recent=40", "streaming-llm:sink=0,recent=1", "lagkv-official:sink=4,lag=16,ratio=0.25", "lagkv-kvpress:lag=16,compression_ratio=0.7"})
    for (const std::uint32_t chunk : {0u, 64u, 77u}) {
      if (chunk != 0 && std::strcmp(policy, "lagkv-kvpress:lag=16,compression_ratio=0.7") == 0) continue;
      const PolicyRunResult runner = on_runner(plan, policy, chunk);
      for (const int mode : {0, 1, 2, 3, 4}) {
        Switches s;
        s.chunk = chunk, s.last = mode >= 2, s.piece = mode >= 2 ? 10 : 0;
        s.unit = mode == 0 ? Offload::Unit::none : kLayer, s.reload = mode % 2 == 1, s.disk = mode == 4;
        SchemePlan scheme = scheme_of(s, DType::f32);
        scheme.retention = choice(policy);
        const SchemeResult got = run(plan, scheme, policy);
        const double difference = beside_runner(got, runner);
        CHECK(difference <= 2e-5);
        if (difference > 2e-5) std::printf("  %s, %s: %g\n", policy, name_of(s).c_str(), difference);
        worst = std::max(worst, difference);
        CHECK(got.resident_tokens == runner.resident_tokens);
      }
    }
  const double dense = beside_runner(run(plan, scheme_of({}, DType::f32), "standard"), on_runner(plan, "dense", 0));
  CHECK(dense <= 2e-5);
  std::printf("     largest difference of a log-probability %.3g, without a policy %.3g\n", worst, dense);
}

TEST("no copy and no kernel comes too late or too early: a device whose copies, whose kernels, or both wait as long as they can") {
  const Checkpoint checkpoint(even());
  Plan plan = plan_of(checkpoint, 90, 4, DType::bf16);
  int runs = 0;
  for (const bool policy : {false, true})
    for (const bool streamed : {false, true}) {
      plan.device.weights = streamed ? DevicePlan::Weights::streamed : DevicePlan::Weights::resident;
      for (const Switches& s : all_switches()) {
        if (s.chunk == 16 || s.pieces > 0 || (policy && s.unit == kHead) || (streamed && s.chunk != 64)) continue;
        SchemePlan scheme = scheme_of(s, DType::bf16);
        if (policy) scheme.retention = choice("streaming-llm:sink=4,recent=30");
        const SchemeResult expected = run(plan, scheme, name_of(s).c_str());
        for (const int late : {1, 2, 3}) {
          LateDevice device((late & 1) != 0, (late & 2) != 0);
          Cancellation cancellation;
          auto got = run_scheme(device, plan, scheme, cancellation);
          CHECK(got.ok());
          const bool same = got && same_bits(got.value().step_logits, expected.step_logits) && same_bits(got.value().last_logits, expected.last_logits) &&
                            got.value().logits == expected.logits && got.value().peak.device == expected.peak.device;
          CHECK(same);
          if (!same) std::printf("  late %d, %s%s: %s\n", late, policy ? "policy, " : "", name_of(s).c_str(), got ? "other logits" : got.error().message.c_str());
          ++runs;
        }
      }
    }
  std::printf("     %d runs\n", runs);
}
