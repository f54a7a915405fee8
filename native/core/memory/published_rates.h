// The rates that MOM's tables (arXiv 2504.12526, tables 3 and 4: transformers with FlashAttention-2, Llama-3-8B, an A100 of 80 GB)
// imply. Carried to another model or device they are a model of times, nothing measured there.
#pragma once
#include <array>

#include "core/memory/times.h"

namespace attnscope::memory {

/// The standard scheme's line of both tables.
struct PublishedLine {
  std::array<double, 4> tokens, first_token_s, tokens_per_second;
};
inline constexpr PublishedLine mom_standard{{48000, 80000, 112000, 144000}, {6.194, 12.982, 22.527, 34.907}, {25.804, 18.448, 14.263, 11.630}};
/// What it ran on, dense bf16; the link as its first-token times imply it.
inline constexpr DevicePeaks mom_device{312e12, 2039e9, {12e9, 12e9}};
inline constexpr ModelShape llama3_8b{32, 32, 8, 128, 4096, 14336, 128256, false, false, ModelShape::Family::llama};

inline PrefillFit mom_prefill_fit() { return fit_prefill(mom_standard.tokens, mom_standard.first_token_s); }
inline DecodeFit mom_decode_fit() { return fit_decode(mom_standard.tokens, mom_standard.tokens_per_second); }
/// Shares of a device's peaks, the same everywhere.
Efficiency transformers_efficiency();
const char* rates_doc();

}  // namespace attnscope::memory
