// Modelled times of transformers: fits of published ones, and the rates that they imply carried to another model or device. Never
// measured, never to be drawn as if they were.
#pragma once
#include <span>

#include "core/memory/config.h"
#include "core/memory/transfers.h"

namespace attnscope::memory {

/// seconds = linear S + square S^2, least squares.
struct PrefillFit {
  double linear_s = 0, square_s = 0;
  double worst = 0;                // largest relative residual
  double at(double tokens) const { return (linear_s + square_s * tokens) * tokens; }
};
PrefillFit fit_prefill(std::span<const double> tokens, std::span<const double> seconds);

/// seconds a step = constant + slope S, least squares of relative residuals.
struct DecodeFit {
  double constant_s = 0, slope_s = 0, worst = 0;
  double at(double tokens) const { return constant_s + slope_s * tokens; }
};
DecodeFit fit_decode(std::span<const double> tokens, std::span<const double> tokens_per_second);

/// Multiplications and additions of a prefill: products with weights (the head's of `logit_rows` rows), and causal attention.
struct PrefillWork {
  double products = 0, attention = 0;
};
PrefillWork prefill_work(const Config& config);

/// What a device can do at best, per second.
struct DevicePeaks {
  double flops = 0, bytes = 0;     // dense, of the dtype; memory
  Link link;
};

/// Shares of a device's peaks that a software stack reaches, and how many times the bytes of a step at best it moves.
struct Efficiency {
  double products = 0, attention = 0;
  double weights_factor = 0, cache_factor = 0;
};
/// What MOM's tables imply of transformers on an A100 (80 GB, 312 TFLOP/s, 2.039 TB/s): from both fits.
Efficiency efficiency(const Config& measured, const PrefillFit& prefill, const DecodeFit& decode, const DevicePeaks& device);

struct RequestTime {
  double compute_s = 0, link_s = 0;              // of prefill, and of transfers in prefill and reload
  double first_token_s = 0;                      // one after the other, as transformers' cache runs
  double first_token_overlapped_s = 0;
  double first_step_s = 0, last_step_s = 0, decode_s = 0;
  double total_s() const { return first_token_s + decode_s; }
};
/// The work of `config` at `reached` shares of `device`. Chunks cost the copies of growing caches beside it; kernels that fill a
/// device less at short chunks are not modelled (512 tokens: MOM measured up to twice this).
RequestTime request_time(const Config& config, const Transfers& transfers, const DevicePeaks& device, const Efficiency& reached);

}  // namespace attnscope::memory
