#include "core/memory/times.h"

#include <algorithm>
#include <cmath>

namespace attnscope::memory {
namespace fits {
namespace {

struct Pair {
  double a = 0, b = 0;
};

/// Least squares of a x + b y = z.
template <class F>
Pair solve(std::size_t n, F row) {
  double xx = 0, xy = 0, yy = 0, xz = 0, yz = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto [x, y, z] = row(i);
    xx += x * x, xy += x * y, yy += y * y, xz += x * z, yz += y * z;
  }
  const double determinant = xx * yy - xy * xy;
  return {(xz * yy - yz * xy) / determinant, (xx * yz - xy * xz) / determinant};
}

struct Row {
  double x, y, z;
};

/// Weights that a token multiplies: all but the embeddings, which are looked up.
double layer_weights(const ModelShape& m) {
  ModelShape none = m;
  none.vocab = 0;
  return static_cast<double>(parameters(none));
}
double head_weights(const ModelShape& m) { return static_cast<double>(m.vocab) * m.hidden; }
double bytes_read(const Config& c) { return static_cast<double>(size_of(c.dtype)) * (layer_weights(c.model) + head_weights(c.model)); }
double cache_bytes_a_token(const Config& c) { return static_cast<double>(cache_bytes(c, 1024)) / 1024; }

}  // namespace
}  // namespace fits

PrefillFit fit_prefill(std::span<const double> tokens, std::span<const double> seconds) {
  const fits::Pair fit = fits::solve(tokens.size(), [&](std::size_t i) { return fits::Row{tokens[i], tokens[i] * tokens[i], seconds[i]}; });
  PrefillFit out{fit.a, fit.b, 0};
  for (std::size_t i = 0; i < tokens.size(); ++i) out.worst = std::max(out.worst, std::fabs(out.at(tokens[i]) / seconds[i] - 1));
  return out;
}

DecodeFit fit_decode(std::span<const double> tokens, std::span<const double> rate) {
  const fits::Pair fit = fits::solve(tokens.size(), [&](std::size_t i) { return fits::Row{rate[i], tokens[i] * rate[i], 1}; });
  DecodeFit out{fit.a, fit.b, 0};
  for (std::size_t i = 0; i < tokens.size(); ++i) out.worst = std::max(out.worst, std::fabs(out.at(tokens[i]) * rate[i] - 1));
  return out;
}

PrefillWork prefill_work(const Config& c) {
  const double n = c.prompt_tokens, rows = c.scheme.logits.rows == LogitsMode::Rows::all ? n : prefill_calls(c);
  const double spared = last_token_mlp(c) ? 3.0 * c.model.hidden * c.model.feed_forward * (n - prefill_calls(c)) : 0;
  return {2 * (n * fits::layer_weights(c.model) + rows * fits::head_weights(c.model) - spared),
          2.0 * c.model.layers * c.model.heads * c.model.head_dim * n * n};
}

Efficiency efficiency(const Config& measured, const PrefillFit& prefill, const DecodeFit& decode, const DevicePeaks& device) {
  Config c = measured;
  c.prompt_tokens = 1u << 16;
  const PrefillWork work = prefill_work(c);
  const double n = c.prompt_tokens;
  return {work.products / n / prefill.linear_s / device.flops, work.attention / n / n / prefill.square_s / device.flops,
          decode.constant_s * device.bytes / fits::bytes_read(c), decode.slope_s * device.bytes / fits::cache_bytes_a_token(c)};
}

RequestTime request_time(const Config& c, const Transfers& transfers, const DevicePeaks& device, const Efficiency& reached) {
  RequestTime out;
  const PrefillWork work = prefill_work(c);
  out.compute_s = work.products / (reached.products * device.flops) + work.attention / (reached.attention * device.flops);
  // A call after the first reads and writes all keys and values once more: at the device's own rate.
  const double a_token = fits::cache_bytes_a_token(c);
  std::uint64_t held = 0;
  for (std::uint32_t call = 0; call + 1 < prefill_calls(c) && c.scheme.cache == Scheme::Cache::growing; ++call) {
    held += call_tokens(c, call);
    out.compute_s += 2 * a_token * static_cast<double>(held) / device.bytes;
  }
  const LinkTime prefill = link_time(transfers, Phase::prefill, device.link, out.compute_s), reload = link_time(transfers, Phase::reload, device.link, 0);
  out.link_s = prefill.link_s + reload.link_s;
  out.first_token_s = prefill.apart_s + reload.link_s;
  out.first_token_overlapped_s = prefill.overlapped_s + reload.link_s;
  const auto step = [&](double tokens) { return (reached.weights_factor * fits::bytes_read(c) + reached.cache_factor * a_token * tokens) / device.bytes; };
  if (c.decode_steps > 0) {
    const double n = c.prompt_tokens, steps = c.decode_steps;
    const double offloaded = link_time(transfers, Phase::decode, device.link, 0).link_s / steps;
    out.first_step_s = step(n) + offloaded;
    out.last_step_s = step(n + steps - 1) + offloaded;
    out.decode_s = steps * (out.first_step_s + out.last_step_s) / 2;
  }
  return out;
}

}  // namespace attnscope::memory
