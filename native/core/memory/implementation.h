// Who runs the model, by name: each with its own liveness script, the order in which it allocates and frees, and where there is
// one a closed form of that script's peak.
#pragma once
#include <span>

#include "core/memory/closed_form.h"
#include "core/memory/config.h"
#include "core/memory/recorder.h"

namespace attnscope::memory {

struct Implementation {
  const char* id = "";
  const char* doc = "";
  /// Writes the whole request: weights, prefill, reload, every decode step. `config` is valid.
  void (*script)(const Config& config, Recorder& recorder) = nullptr;
  /// The script's largest sum of bytes, to the byte, without running it; null: run it.
  ClosedForm (*closed_form)(const Config& config) = nullptr;
  /// Whether the rates of published_rates.h are its own; no times are modelled of others.
  bool published_rates = false;
};

/// hf-eager-fa2 and hf-sdpa: transformers 4.45 to 4.50 without compilation, as MOM and HeadInfer ran it.
std::span<const Implementation> implementations();
/// E_MEMORY_IMPLEMENTATION lists the names.
Result<const Implementation*> find_implementation(std::string_view id);

/// Runs the script into a sink; ends early if that wants no more. E_MEMORY_CONFIG.
Status run_script(const Implementation& implementation, const Config& config, EventSink& sink);
/// The peak: by the closed form, or by the script where there is none. E_MEMORY_CONFIG.
Result<ClosedForm> peak(const Implementation& implementation, const Config& config);

}  // namespace attnscope::memory
