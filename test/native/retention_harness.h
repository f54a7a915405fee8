// A cache that feeds a retention policy and forgets what it evicts, and LagKV written down word by word in fp64.
#pragma once
#include <algorithm>
#include <numeric>
#include <string>

#include "core/policy/policy.h"
#include "reference.h"

namespace retention {

using namespace attnscope;
using reference::Matrix;
using Positions = std::vector<std::uint32_t>;

inline const PolicyEntry& entry(const char* id) {
  for (const PolicyEntry& e : policies())
    if (std::string_view(e.descriptor.id) == id) return e;
  std::printf("no policy %s\n", id);
  std::abort();
}

/// Defaults with some parameters set by name.
inline PolicyConfig config(const char* id, std::initializer_list<std::pair<const char*, double>> values) {
  const PolicyDescriptor& d = entry(id).descriptor;
  PolicyConfig c;
  for (const Parameter& p : d.parameters) c.values.push_back(p.fallback);
  for (const auto& [name, value] : values) {
    const auto at = std::find_if(d.parameters.begin(), d.parameters.end(), [&, n = name](const Parameter& p) { return std::string_view(p.name) == n; });
    if (at == d.parameters.end()) std::printf("no parameter %s\n", name), std::abort();
    c.values[static_cast<std::size_t>(at - d.parameters.begin())] = value;
  }
  return c;
}

/// Keys and values of one layer, [kv heads].
struct Layer {
  std::vector<Matrix> keys, values;
  Layer(std::size_t kv_heads, std::size_t tokens, std::size_t dim, unsigned seed) {
    for (std::size_t h = 0; h < kv_heads; ++h) {
      keys.push_back(reference::random_matrix(tokens, dim, seed + 2 * static_cast<unsigned>(h), 2));
      values.push_back(reference::random_matrix(tokens, dim, seed + 2 * static_cast<unsigned>(h) + 1));
    }
  }
};

enum class Addressing { by_position, by_slot };

/// Feeds a layer and keeps what is resident. By slot the rows are moved as a live cache moves them.
class Cache {
 public:
  Cache(const char* id, const PolicyConfig& config, const Layer& layer, Addressing addressing = Addressing::by_position, std::uint32_t index = 0)
      : policy(entry(id).retention(config).take()), layer_(layer), addressing_(addressing), resident(layer.keys.size()) {
    for (const Matrix& m : layer.keys) keys_.push_back(m.view());
    for (const Matrix& m : layer.values) values_.push_back(m.view());
    input_.layer = index;
    input_.layers = 4;
    input_.heads = input_.kv_heads = static_cast<std::uint32_t>(layer.keys.size());
    input_.head_dim = static_cast<std::uint32_t>(layer.keys[0].columns);
    input_.tokens = static_cast<std::uint32_t>(layer.keys[0].rows);
    input_.keys = keys_;
    input_.values = values_;
    input_.memo = &memo_;
  }

  Status append(std::uint32_t count, bool prefill, bool ends = false, std::span<const double> future = {}) {
    AppendEvent event{count, prefill, ends, fed_ == 0, future};
    for (Positions& p : resident)
      for (std::uint32_t i = 0; i < count; ++i) p.push_back(fed_ + i);
    fed_ += count;
    std::vector<std::vector<float>> k(resident.size()), v(resident.size());
    std::vector<ResidentTokens> view;
    for (std::size_t h = 0; h < resident.size(); ++h) view.push_back(tokens(h, k[h], v[h]));
    std::vector<std::vector<std::uint32_t>> evict(resident.size());
    if (Status status = policy->append(input_, view, event, evict); !status) return status;
    for (std::size_t h = 0; h < resident.size(); ++h) {
      ordered = ordered && std::is_sorted(evict[h].begin(), evict[h].end());
      for (auto slot = evict[h].rbegin(); slot != evict[h].rend(); ++slot) resident[h].erase(resident[h].begin() + *slot);
    }
    return success();
  }

  /// The prompt in one piece, then single tokens.
  void feed(std::uint32_t prompt, std::uint32_t decoded) {
    (void)append(prompt, true, true).ok();
    for (std::uint32_t i = 0; i < decoded; ++i) (void)append(1, false).ok();
  }

  std::size_t size() const { return resident[0].size(); }
  std::uint32_t fed() const { return fed_; }
  std::vector<KeySpan> forced() const {
    std::vector<KeySpan> spans;
    policy->forced({keys_[0], values_[0], resident[0], true}, spans);
    return spans;
  }

  std::unique_ptr<RetentionPolicy> policy;

 private:
  ResidentTokens tokens(std::size_t h, std::vector<float>& k, std::vector<float>& v) const {
    if (addressing_ == Addressing::by_position) return {keys_[h], values_[h], resident[h], true};
    const std::size_t dim = input_.head_dim, n = resident[h].size();
    for (std::uint32_t p : resident[h]) {
      k.insert(k.end(), layer_.keys[h].row(p), layer_.keys[h].row(p) + dim);
      v.insert(v.end(), layer_.values[h].row(p), layer_.values[h].row(p) + dim);
    }
    return {{k.data(), n, dim, dim}, {v.data(), n, dim, dim}, resident[h], false};
  }

  const Layer& layer_;
  Addressing addressing_;
  std::vector<Rows> keys_, values_;
  LayerInput input_;
  Memo memo_;
  std::uint32_t fed_ = 0;

 public:
  std::vector<Positions> resident;  // [kv heads]
  bool ordered = true;              // all evictions came ascending
};

// ---- LagKV by definition ----

inline std::vector<double> softmax(const std::vector<double>& x) {
  const double top = *std::max_element(x.begin(), x.end());
  std::vector<double> p;
  double sum = 0;
  for (double value : x) p.push_back(std::exp(value - top)), sum += p.back();
  for (double& value : p) value /= sum;
  return p;
}

/// Softmax over the partition at `begin` of the unbiased deviation over channels, normalised by the next partition. Rows
/// are those at `positions`.
inline std::vector<double> lag_part(const Matrix& x, const Positions& positions, std::size_t begin, std::size_t lag) {
  std::vector<double> deviation;
  for (std::size_t i = begin; i < begin + lag; ++i) {
    std::vector<double> z;
    for (std::size_t c = 0; c < x.columns; ++c) {
      double low = INFINITY, high = -INFINITY;
      for (std::size_t u = begin + lag; u < begin + 2 * lag; ++u) {
        low = std::min<double>(low, x.row(positions[u])[c]);
        high = std::max<double>(high, x.row(positions[u])[c]);
      }
      z.push_back((x.row(positions[i])[c] - low) / (high - low));
    }
    const double mean = std::accumulate(z.begin(), z.end(), 0.0) / static_cast<double>(z.size());
    double squares = 0;
    for (double value : z) squares += (value - mean) * (value - mean);
    deviation.push_back(std::sqrt(squares / static_cast<double>(z.size() - 1)));
  }
  return softmax(deviation);
}

inline std::vector<double> lag_score(const Layer& layer, std::size_t head, const Positions& positions, std::size_t begin, std::size_t lag, double weight) {
  std::vector<double> score = lag_part(layer.keys[head], positions, begin, lag);
  const std::vector<double> value = lag_part(layer.values[head], positions, begin, lag);
  for (std::size_t i = 0; i < lag; ++i) score[i] += weight * value[i];
  return score;
}

inline Positions sequence(std::uint32_t n) {
  Positions p(n);
  std::iota(p.begin(), p.end(), 0u);
  return p;
}

/// Indices of the k highest, ascending; ties to the lowest index.
inline Positions top(const std::vector<double>& score, std::size_t k) {
  Positions order = sequence(static_cast<std::uint32_t>(score.size()));
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return score[a] > score[b]; });
  order.resize(std::min(k, order.size()));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace retention
