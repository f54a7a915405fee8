#include "core/policy/lag_score.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/dtype.h"
#include "core/kv_stats.h"

namespace attnscope {

namespace lag_score {

constexpr double degenerate_range = 1e-12;

/// Smallest and largest value of every channel over the rows.
void channel_bounds(Rows rows, float* low, float* high) {
  std::copy_n(rows.row(0), rows.dim, low);
  std::copy_n(rows.row(0), rows.dim, high);
  for (std::size_t i = 1; i < rows.count; ++i) {
    const float* x = rows.row(i);
    for (std::size_t c = 0; c < rows.dim; ++c) {
      low[c] = std::min(low[c], x[c]);
      high[c] = std::max(high[c], x[c]);
    }
  }
}

/// The sums run in eight fixed lanes, so that compilers vectorise them without reordering and builds agree.
float deviation(const float* x, const float* low, const double* scale, std::size_t dim, std::size_t channels) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sum{}, squares{};
  std::size_t c = 0;
  for (; c + lanes <= dim; c += lanes)
    for (std::size_t l = 0; l < lanes; ++l) {
      const double z = (static_cast<double>(x[c + l]) - low[c + l]) * scale[c + l];
      sum[l] += z;
      squares[l] += z * z;
    }
  for (std::size_t l = 0; c < dim; ++c, ++l) {
    const double z = (static_cast<double>(x[c]) - low[c]) * scale[c];
    sum[l] += z;
    squares[l] += z * z;
  }
  double total = 0, total_squares = 0;
  for (std::size_t l = 0; l < lanes; ++l) total += sum[l], total_squares += squares[l];
  // Normalised values are of the order of 1, so in fp64 the sum of squares loses nothing that fp32 could show.
  const auto n = static_cast<double>(channels);
  const double variance = (total_squares - total * total / n) / (n - 1);
  return static_cast<float>(std::isnan(variance) ? variance : std::sqrt(std::max(0.0, variance)));
}

float to_bf16(float x) {
  round_in_place(DType::bf16, std::span(&x, 1));
  return x;
}

/// The same with every intermediate value rounded to bf16; the deviation itself accumulates in fp32, as PyTorch does.
void deviation_bf16(Rows tokens, Rows reference, std::span<float> low, std::span<float> std) {
  const std::size_t dim = tokens.dim;
  std::vector<float> high(dim), z(dim);
  channel_bounds(reference, low.data(), high.data());
  for (std::size_t c = 0; c < dim; ++c) high[c] = to_bf16(to_bf16(high[c]) - to_bf16(low[c])), low[c] = to_bf16(low[c]);
  for (std::size_t i = 0; i < tokens.count; ++i) {
    std::size_t channels = 0;
    float sum = 0;
    for (std::size_t c = 0; c < dim; ++c) {
      if (!(high[c] > 0) || !std::isfinite(high[c])) continue;
      z[channels] = to_bf16(to_bf16(to_bf16(tokens.row(i)[c]) - low[c]) / high[c]);
      sum += z[channels++];
    }
    const float mean = sum / static_cast<float>(channels);
    float squares = 0;
    for (std::size_t c = 0; c < channels; ++c) squares += (z[c] - mean) * (z[c] - mean);
    std[i] = channels < 2 ? std::numeric_limits<float>::quiet_NaN() : to_bf16(std::sqrt(squares / static_cast<float>(channels - 1)));
  }
}

/// softmax(x), where it says something: false if all of x is NaN. NaN entries take no part and stay NaN.
bool softmax(std::span<const float> x, std::vector<double>& p) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (float value : x)
    if (!std::isnan(value)) top = std::max<double>(top, value);
  if (std::isinf(top)) return false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    p[i] = std::exp(x[i] - top);
    if (!std::isnan(p[i])) sum += p[i];
  }
  for (double& value : p) value /= sum;
  return true;
}

/// Deviations of all full partitions of a sequence, by position.
struct Deviations {
  std::vector<float> key, value;
};

std::vector<float> sequence_deviation(Rows rows, const LagScoring& scoring) {
  std::vector<float> std(rows.count);
  if (scoring.arithmetic == LagArithmetic::fp32) {
    lag_channel_std(rows, scoring.sink, scoring.lag, std);
    return std;
  }
  std::vector<float> low(rows.dim);
  for (std::size_t begin = scoring.sink; begin + 2 * scoring.lag <= rows.count; begin += scoring.lag)
    deviation_bf16(rows.slice(begin, scoring.lag), rows.slice(begin + scoring.lag, scoring.lag), low, std::span(std).subspan(begin, scoring.lag));
  return std;
}

/// Keys or values of slots [begin, begin + count) as one block; copied where they do not lie in one.
Rows block(const ResidentTokens& resident, Rows rows, std::size_t begin, std::size_t count, std::vector<float>& copy) {
  if (!resident.rows_by_position) return rows.slice(begin, count);
  copy.resize(count * rows.dim);
  for (std::size_t i = 0; i < count; ++i) std::copy_n(rows.row(resident.positions[begin + i]), rows.dim, copy.data() + i * rows.dim);
  return {copy.data(), count, rows.dim, rows.dim};
}

/// Whether slots [begin, begin + count) are partitions of the sequence as it came.
bool in_sequence(const ResidentTokens& resident, std::size_t begin, std::size_t count, const LagScoring& scoring) {
  const std::uint32_t first = resident.positions[begin], last = resident.positions[begin + count - 1];
  return last - first + 1 == count && first >= scoring.sink && (first - scoring.sink) % scoring.lag == 0;
}

std::string memo_key(const LagScoring& scoring, std::uint32_t kv_head) {
  return std::string("lag/") + (scoring.arithmetic == LagArithmetic::fp32 ? "f32/" : "bf16/") + std::to_string(scoring.sink) + "/" +
         std::to_string(scoring.lag) + "/" + std::to_string(kv_head);
}

}  // namespace lag_score

void lag_deviation(Rows tokens, Rows reference, std::span<float> low, std::span<double> scale, std::span<float> std) {
  const std::size_t dim = tokens.dim;
  std::vector<float> high(dim);
  lag_score::channel_bounds(reference, low.data(), high.data());
  std::size_t channels = 0;
  for (std::size_t c = 0; c < dim; ++c) {
    const double range = static_cast<double>(high[c]) - low[c];
    scale[c] = range >= lag_score::degenerate_range && std::isfinite(range) ? 1 / range : 0;
    if (scale[c] == 0) low[c] = 0;
    channels += scale[c] != 0;
  }
  if (channels < 2) {
    std::fill(std.begin(), std.end(), std::numeric_limits<float>::quiet_NaN());
    return;
  }
  for (std::size_t i = 0; i < tokens.count; ++i) std[i] = lag_score::deviation(tokens.row(i), low.data(), scale.data(), dim, channels);
}

void lag_partition_score(std::span<const float> key_deviation, std::span<const float> value_deviation, const LagScoring& scoring,
                         std::span<float> score) {
  const std::size_t n = score.size();
  std::vector<double> part(n);
  const auto rounded = [&](double x) {
    const auto narrow = static_cast<float>(x);
    return scoring.arithmetic == LagArithmetic::fp32 ? narrow : lag_score::to_bf16(narrow);
  };
  const auto add = [&](std::span<const float> deviation, float weight) {
    const bool known = lag_score::softmax(deviation, part);
    for (std::size_t i = 0; i < n; ++i) score[i] = rounded(score[i] + weight * rounded(known ? part[i] : 1.0 / static_cast<double>(n)));
  };
  std::fill(score.begin(), score.end(), 0.0f);
  add(key_deviation, 1);
  add(value_deviation, scoring.value_weight);
}

void lag_scores(const LayerInput& input, std::uint32_t kv_head, const ResidentTokens& resident, std::size_t begin, std::size_t partitions,
                const LagScoring& scoring, std::span<float> score) {
  const std::size_t lag = scoring.lag;
  if (partitions == 0) return;
  if (resident.rows_by_position && input.memo != nullptr && lag_score::in_sequence(resident, begin, (partitions + 1) * lag, scoring)) {
    const auto& known = input.memo->get<lag_score::Deviations>(lag_score::memo_key(scoring, kv_head), [&] {
      return lag_score::Deviations{lag_score::sequence_deviation(resident.keys, scoring), lag_score::sequence_deviation(resident.values, scoring)};
    });
    for (std::size_t p = 0; p < partitions; ++p) {
      const std::size_t first = resident.positions[begin] + p * lag;
      lag_partition_score(std::span(known.key).subspan(first, lag), std::span(known.value).subspan(first, lag), scoring, score.subspan(p * lag, lag));
    }
    return;
  }
  std::vector<float> copy, low(input.head_dim), key(lag), value(lag);
  std::vector<double> scale(input.head_dim);
  const auto deviations = [&](Rows rows, std::size_t slot, std::span<float> out) {
    const Rows both = lag_score::block(resident, rows, slot, 2 * lag, copy);
    const Rows tokens = both.slice(0, lag), reference = both.slice(lag, lag);
    if (scoring.arithmetic == LagArithmetic::fp32) lag_deviation(tokens, reference, low, scale, out);
    else lag_score::deviation_bf16(tokens, reference, low, out);
  };
  for (std::size_t p = 0; p < partitions; ++p) {
    deviations(resident.keys, begin + p * lag, key);
    deviations(resident.values, begin + p * lag, value);
    lag_partition_score(key, value, scoring, score.subspan(p * lag, lag));
  }
}

}  // namespace attnscope
