#include "core/replay/output_error.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/replay/spans.h"
#include "core/replay/value_product.h"
#include "core/simd.h"

namespace attnscope {
namespace output_errors_of_rows {

/// Rows summed together, so that values gathered for one block of keys serve all of them.
constexpr std::size_t batch_rows = 64;
/// A row alone reads values about as fast as it multiplies: below this density of the batch, gathering does not pay.
constexpr std::size_t sparse_factor = 3;

enum Slot { slot_p = 8, slot_panels, slot_product, slot_weights };

/// sums[c] += sum over i < count of weight[i] values[keys[i]][c], V vectors of columns held in registers.
template <int V>
void add_columns_of(const float* weight, const std::uint32_t* keys, std::size_t count, Rows values, std::size_t column, double* sums) {
  simd::f32x8 acc[V] = {};
  for (std::size_t i = 0; i < count; ++i) {
    const simd::f32x8 w = simd::splat(weight[i]);
    const float* v = values.row(keys[i]) + column;
#pragma GCC unroll 8
    for (int n = 0; n < V; ++n) acc[n] += w * simd::load(v + n * simd::lanes);
  }
  for (int n = 0; n < V; ++n)
    for (std::size_t lane = 0; lane < simd::lanes; ++lane) sums[column + n * simd::lanes + lane] += acc[n][lane];
}

void add_single_row(const float* weight, const std::uint32_t* keys, std::size_t count, Rows values, double* sums) {
  std::size_t column = 0;
  for (; column + 8 * simd::lanes <= values.dim; column += 8 * simd::lanes) add_columns_of<8>(weight, keys, count, values, column, sums);
  for (; column + simd::lanes <= values.dim; column += simd::lanes) add_columns_of<1>(weight, keys, count, values, column, sums);
  for (; column < values.dim; ++column)
    for (std::size_t i = 0; i < count; ++i) sums[column] += static_cast<double>(weight[i]) * values.row(keys[i])[column];
}

/// Which side of a row is summed, and with which weights.
struct RowSum {
  enum Side { kept, evicted, weighted } side = kept;
  SpanList spans;          // keys to sum
  std::size_t cursor = 0;  // first span that may reach into the block at hand
  const float* p = nullptr;
};

/// p exp(w) / sum of it on the kept keys, written where they lie; other positions stay undefined. False: no mass at all.
bool weigh(const float* p, std::span<const KeySpan> kept, std::span<const float> log_weight, float* out) {
  double sum = 0;
  std::size_t i = 0;
  for (const KeySpan& s : kept)
    for (std::uint32_t k = s.begin; k < s.end; ++k) sum += p[k] * std::exp(static_cast<double>(log_weight[i++]));
  if (!(sum > 0)) return false;
  i = 0;
  for (const KeySpan& s : kept)
    for (std::uint32_t k = s.begin; k < s.end; ++k) out[k] = static_cast<float>(p[k] * std::exp(static_cast<double>(log_weight[i++])) / sum);
  return true;
}

/// Sums of one batch of rows, block of keys by block of keys.
class Batch {
 public:
  Batch(Rows values, Scratch& scratch)
      : values_(values), width_(round_up(values.dim, panel_width)), sums_(batch_rows * width_),
        p_(scratch.floats(slot_p, batch_rows * value_block)), panels_(scratch.floats(slot_panels, value_block * width_)),
        product_(scratch.floats(slot_product, batch_rows * width_)) {}

  void sum(std::span<RowSum> rows, std::uint32_t end_key) {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    std::uint32_t begin = end_key;
    for (const RowSum& row : rows)
      if (!row.spans.empty()) begin = std::min(begin, row.spans.front().begin);
    for (std::uint32_t key = begin / value_block * value_block; key < end_key; key += value_block) add_block(rows, key);
  }
  const double* sums(std::size_t r) const { return sums_.data() + r * width_; }

 private:
  static constexpr std::size_t words = value_block / 64;

  /// Sets bits [begin, end).
  static void mark(std::uint64_t* bits, std::uint32_t begin, std::uint32_t end) {
    while (begin < end) {
      const std::uint32_t n = std::min(end - begin, 64 - begin % 64);
      bits[begin / 64] |= (n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1) << begin % 64;
      begin += n;
    }
  }

  void add_block(std::span<RowSum> rows, std::uint32_t key) {
    std::uint64_t any[words] = {};
    std::size_t pairs = 0, live = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      RowSum& row = rows[r];
      while (row.cursor < row.spans.size() && row.spans[row.cursor].end <= key) ++row.cursor;
      bool touched = false;
      for (std::size_t s = row.cursor; s < row.spans.size() && row.spans[s].begin < key + value_block; ++s) {
        const std::uint32_t from = std::max(row.spans[s].begin, key) - key, to = std::min<std::uint32_t>(row.spans[s].end - key, value_block);
        mark(any, from, to);
        pairs += to - from;
        touched = true;
      }
      live += touched;
    }
    if (pairs == 0) return;
    std::size_t count = 0;
    for (std::size_t w = 0; w < words; ++w)
      for (std::uint64_t bits = any[w]; bits != 0; bits &= bits - 1) keys_[count++] = key + static_cast<std::uint32_t>(w * 64 + std::countr_zero(bits));
    if (sparse_factor * pairs < live * count)
      add_rows_alone(rows, key);
    else
      add_together(rows, key, count);
  }

  void add_rows_alone(std::span<RowSum> rows, std::uint32_t key) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::size_t count = 0;
      for (std::size_t s = rows[r].cursor; s < rows[r].spans.size() && rows[r].spans[s].begin < key + value_block; ++s) {
        const KeySpan span = rows[r].spans[s];
        for (std::uint32_t k = std::max(span.begin, key); k < std::min<std::uint64_t>(span.end, std::uint64_t{key} + value_block); ++k, ++count) {
          keys_[count] = k;
          product_[count] = rows[r].p[k];
        }
      }
      if (count != 0) add_single_row(product_, keys_, count, values_, sums_.data() + r * width_);
    }
  }

  /// All rows times the values of the keys that any of them wants.
  void add_together(std::span<RowSum> rows, std::uint32_t key, std::size_t count) {
    gather_values(values_, keys_, count, panels_);
    std::uint16_t column[value_block];  // of a key of the block among those gathered
    for (std::size_t i = 0; i < count; ++i) column[keys_[i] - key] = static_cast<std::uint16_t>(i);
    std::fill_n(p_, rows.size() * value_block, 0.0f);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      float* to = p_ + r * value_block;
      for (std::size_t s = rows[r].cursor; s < rows[r].spans.size() && rows[r].spans[s].begin < key + value_block; ++s) {
        const std::uint32_t from = std::max(rows[r].spans[s].begin, key);
        const std::uint32_t n = std::min<std::uint32_t>(rows[r].spans[s].end, key + value_block) - from;
        // Every key of the run is gathered, so its columns are neighbours as well.
        std::copy_n(rows[r].p + from, n, to + column[from - key]);
      }
    }
    add_value_product(p_, value_block, rows.size(), panels_, count, width_, product_, sums_.data());
  }

  Rows values_;
  std::size_t width_;
  std::vector<double> sums_;
  float *p_, *panels_, *product_;
  std::uint32_t keys_[value_block];
};

/// o' - o and o' of one row from its sum over one side.
OutputError compare(const Strip& strip, std::size_t r, const RowMass& mass, RowSum::Side side, const double* sum) {
  double difference = 0, squares = 0, policy_squares = 0, product = 0;
  for (std::size_t c = 0; c < strip.dim(); ++c) {
    const double o = strip.output(r)[c] / mass.total;
    // From the evicted side the difference is small by itself: o' - o = (m o - sum evicted) / (1 - m), no cancellation.
    const double d = side == RowSum::evicted ? (mass.missed * o - sum[c]) / mass.kept : (side == RowSum::kept ? sum[c] / mass.kept : sum[c]) - o;
    difference += d * d;
    squares += o * o;
    policy_squares += (o + d) * (o + d);
    product += o * (o + d);
  }
  if (squares == 0) return {};
  return {std::sqrt(difference / squares), policy_squares == 0 ? 0.0 : product / std::sqrt(squares * policy_squares)};
}

}  // namespace output_errors_of_rows

void output_errors(const Strip& strip, const HeadTrace& trace, std::span<const RowMass> masses, std::span<const std::uint32_t> which,
                   Rows values, Visibility visibility, std::span<OutputError> out, Scratch& scratch) {
  using namespace output_errors_of_rows;
  Batch batch(values, scratch);
  std::vector<RowSum> rows(batch_rows);
  float* weights = trace.weight_offset.empty() ? nullptr : scratch.floats(slot_weights, batch_rows * strip.tokens());

  for (std::size_t begin = 0; begin < which.size(); begin += batch_rows) {
    const std::size_t n = std::min(batch_rows, which.size() - begin);
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t r = which[begin + i];
      const auto kept = trace.kept(r);
      RowSum& row = rows[i];
      row.cursor = 0;
      row.p = strip.row(r);
      row.spans.clear();
      const bool weighted = !trace.weights(r).empty();
      // Half the mass: beyond it 1 / (1 - m) would amplify rounding of the evicted sum.
      const bool evicted = !weighted && 2 * masses[r].kept_keys > masses[r].visible && masses[r].missed <= 0.5 * masses[r].total;
      row.side = weighted ? RowSum::weighted : evicted ? RowSum::evicted : RowSum::kept;
      if (evicted) {
        for_gaps(kept, visibility.first_key(trace.rows[r]), trace.rows[r] + 1, [&](KeySpan gap) { row.spans.push_back(gap); });
        continue;
      }
      if (weighted) {
        row.p = weights + i * strip.tokens();
        if (!weigh(strip.row(r), kept, trace.weights(r), weights + i * strip.tokens())) continue;
      }
      row.spans.assign(kept.begin(), kept.end());
    }
    batch.sum({rows.data(), n}, trace.rows[which[begin + n - 1]] + 1);
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t r = which[begin + i];
      const bool nothing = rows[i].side != RowSum::evicted && (rows[i].spans.empty() || !(masses[r].kept > 0));
      out[begin + i] = nothing ? OutputError{1, 0} : compare(strip, r, masses[r], rows[i].side, batch.sums(i));
    }
  }
}

}  // namespace attnscope
