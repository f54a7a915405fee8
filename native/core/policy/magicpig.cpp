#include "core/policy/magicpig.h"

#include <algorithm>
#include <cmath>

#include "core/policy/collision_table.h"
#include "core/policy/hashed_keys.h"
#include "core/policy/score_row.h"

namespace attnscope::magicpig {

using simhash::HashPlan;

bool is_dense(DenseLayers choice, std::uint32_t layer) {
  switch (choice) {
    case DenseLayers::every_16th_to_64: return layer % 16 == 0 && layer <= 64;
    case DenseLayers::every_16th_to_48: return layer % 16 == 0 && layer <= 48;
    case DenseLayers::first_two: return layer < 2;
    case DenseLayers::none: break;
  }
  return false;
}

TierBytes step_bytes(const StepShape& s) {
  const double token_bytes = 2.0 * s.head_dim * s.bytes_per_element;  // K and V
  TierBytes bytes;
  // K and V of the static tokens, read once for the group, and the projection W (16 bit), once for all heads of the layer.
  bytes.device = token_bytes * s.fixed / s.group + 2.0 * s.head_dim * s.K * s.L / s.heads;
  // Codes (4 bytes a table) and q down, o and its LSE up; q and o in 16 bit.
  bytes.link = 4.0 * s.L + 2 * 2.0 * s.head_dim + 4;
  // Two cache lines a table for the bucket's start and end; ids in the buckets; one counter byte an offloaded key to
  // clear; K and V of the sampled keys, their norm (4), and their id written and read again (8).
  bytes.host = 128.0 * s.L + s.ids_read * s.id_bytes + s.offloaded + s.sampled * (token_bytes + 12);
  return bytes;
}

TableBytes table_bytes(std::uint32_t K, std::uint32_t L, double keys, double id_bytes) {
  return {.ids = L * keys * id_bytes, .buckets = 2.0 * 4 * L * (1u << K)};
}

double id_bytes(bool short_ids, std::uint32_t context) { return short_ids && context <= 65536 ? 2 : 4; }

class Policy final : public RetrievalPolicy {
 public:
  explicit Policy(const Settings& settings) : s_(settings), table_(s_.K, s_.L, s_.min_tables) {}

  Status build(const LayerInput& input, std::uint32_t kv_head, std::uint32_t context) override {
    if (is_dense(s_.dense_layers, input.layer)) return success();
    if (kv_head >= input.keys.size() || input.keys[kv_head].count < context)
      return Error{"E_POLICY_KEYS", "magicpig: kv head " + std::to_string(kv_head) + " of layer " + std::to_string(input.layer) +
                                        " has fewer keys than the context of " + std::to_string(context) + " tokens; supply them or shorten the context"};
    if (heads_.size() <= kv_head) heads_.resize(kv_head + 1);
    Head& head = heads_[kv_head];
    head.context = context;
    // Offloaded keys: what is neither a sink nor in the local window at the end of the prompt. Tokens that come later are
    // never hashed.
    head.offloaded.begin = std::min(s_.sink, context);
    head.offloaded.end = std::max(head.offloaded.begin, context - std::min(s_.local, context));
    HashPlan plan{.context = context, .transform = s_.transform, .seed = s_.seed, .per_kv_head = s_.scope == Scope::per_kv_head};
    if (s_.centre == Centre::offloaded) plan.centre = head.offloaded;
    if (s_.centre == Centre::all) plan.centre = {0, context};
    head.index = simhash::index_of(input, kv_head, plan, s_.K, s_.L);
    return success();
  }

  void query(const LayerInput& input, std::uint32_t query_head, std::uint32_t position, const float* q, Selection& out) override {
    const std::uint32_t kv_head = input.kv_head(query_head);
    const std::uint32_t first = input.visibility.first_key(position);
    const double token_bytes = 2.0 * input.head_dim * input.bytes_per_element;  // K and V
    if (is_dense(s_.dense_layers, input.layer) || kv_head >= heads_.size() || heads_[kv_head].index.tables == nullptr) {
      out.dense = true;
      out.bytes.device = token_bytes * (position + 1 - first) / input.group();
      return;
    }
    const Head& head = heads_[kv_head];
    const KeySpan candidates = {std::min(std::max(head.offloaded.begin, first), position + 1), std::min(head.offloaded.end, position + 1)};
    const bool any = candidates.begin < candidates.end;
    const std::uint32_t fixed_end = any ? candidates.begin : position + 1;
    if (first < fixed_end) out.fixed.push_back({first, fixed_end});
    if (any && candidates.end <= position) out.fixed.push_back({candidates.end, position + 1});
    const std::uint32_t offloaded = any ? candidates.end - candidates.begin : 0;
    const std::uint32_t fixed = position + 1 - first - offloaded;

    std::uint64_t ids_read = 0;
    if (any) ids_read = sample(input, head, query_head, position, q, candidates, out);

    out.bytes = step_bytes({.K = s_.K, .L = s_.L, .head_dim = input.head_dim, .heads = input.heads, .group = input.group(),
                            .bytes_per_element = input.bytes_per_element, .id_bytes = id_bytes(s_.short_ids, head.context),
                            .fixed = static_cast<double>(fixed), .offloaded = static_cast<double>(offloaded),
                            .ids_read = static_cast<double>(ids_read), .sampled = static_cast<double>(out.keys.size())});
  }

  double index_bytes() const override {
    double bytes = 0;
    for (const Head& head : heads_) {
      if (!head.index.tables) continue;
      const TableBytes tables = table_bytes(s_.K, s_.L, head.offloaded.end - head.offloaded.begin, id_bytes(s_.short_ids, head.context));
      bytes += tables.ids + tables.buckets;
    }
    return bytes;
  }

 private:
  struct Head {
    std::uint32_t context = 0;
    KeySpan offloaded;
    simhash::Index index;
  };

  /// Keys that share a bucket with q in min_tables tables, each with -log(u + eps). Returns the number of ids read.
  std::uint64_t sample(const LayerInput& input, const Head& head, std::uint32_t query_head, std::uint32_t position, const float* q,
                       KeySpan candidates, Selection& out) {
    const simhash::HashedKeys& keys = *head.index.keys;
    keys.query_codes(q, s_.K, s_.L, codes_);
    hits_.resize(keys.count());
    const std::uint64_t ids_read = head.index.tables->lookup(codes_, static_cast<std::uint8_t>(s_.min_tables), hits_);
    out.scanned = static_cast<double>(
        simhash::collect_hits(hits_, candidates.begin, candidates.end, static_cast<std::uint8_t>(s_.min_tables), out.keys));

    // q . (k - centre) = q . k - q . centre: the scores serve every centre. Norms are those of centred keys.
    const ScoreRow row = visible_scores(input, query_head, position, q, scores_);
    const float q_norm = std::sqrt(dot(q, q, input.head_dim)), shift = dot(q, keys.centre().data(), input.head_dim);
    const float unscale = 1 / input.scale, inverse_q = q_norm > 0 ? 1 / q_norm : 0;
    const auto cosine = [&](std::uint32_t key) {
      // Keys of length 0 have code 0 everywhere, as likely to meet q as a key at a right angle; NaN counts as that too.
      const float c = (row.scores[key - row.first] * unscale - shift) * inverse_q * keys.inverse_norms()[key];
      return c > -1 ? (c < 1 ? c : 1.0f) : (c <= -1 ? -1.0f : 0.0f);
    };
    out.log_weight.reserve(out.keys.size());
    for (const std::uint32_t key : out.keys) {
      const double log_u = table_.log_u(cosine(key));
      out.log_weight.push_back(static_cast<float>(s_.eps > 0 ? -std::log(std::exp(log_u) + s_.eps) : -log_u));
    }
    out.expected = table_.sum_u(row.scores.data() + (candidates.begin - row.first), unscale * inverse_q, shift * inverse_q,
                                keys.inverse_norms() + candidates.begin, candidates.end - candidates.begin);
    return ids_read;
  }

  Settings s_;
  simhash::CollisionTable table_;
  std::vector<Head> heads_;
  std::vector<std::uint16_t> codes_;
  std::vector<std::uint8_t> hits_;
  std::vector<float> scores_;
};

/// Order of the parameters.
enum Index : std::size_t { k, l, min_tables, sink, local, eps, dense_layers, centre, w_scope, seed, transform };

std::vector<Parameter> parameters(const Defaults& defaults) {
  const auto choice = [](auto value) { return static_cast<double>(value); };
  std::vector<Parameter> list = {
      {.name = "K", .unit = "bits", .minimum = 1, .maximum = simhash::max_bits, .fallback = 10, .doc = "Bits of a hash code: more make buckets smaller and sampling sparser"},
      {.name = "L", .unit = "tables", .minimum = 1, .maximum = 500, .fallback = 150, .doc = "Hash tables: more make it likelier that a near key is found", .logarithmic = true},
      {.name = "min_tables", .unit = "tables", .minimum = 1, .maximum = 10, .fallback = 2, .doc = "Tables in which a key must share the query's bucket to be sampled"},
      {.name = "sink", .unit = "tokens", .maximum = 1024, .fallback = 4, .doc = "First tokens, always read and never hashed"},
      {.name = "local", .unit = "tokens", .maximum = 65536, .fallback = 64, .doc = "Last tokens of the prompt, always read and never hashed; tokens decoded later join them"},
      {.name = "eps", .type = ParameterType::real, .maximum = 0.1, .fallback = defaults.eps, .doc = "Added to the inclusion probability inside the log: caps weights at 1 / eps (the released code has 1e-4, the paper nothing)"},
      {.name = "dense_layers", .type = ParameterType::choice, .maximum = 3, .fallback = choice(defaults.dense_layers),
       .doc = "Layers left dense: none; every 16th up to 64 (serving code) or up to 48 (paper, 70B); the first two (as the repository's baselines)",
       .choices = {"none", "0-16-32-48-64", "0-16-32-48", "0-1"}},
      {.name = "centre", .type = ParameterType::choice, .maximum = 2, .fallback = choice(defaults.centre),
       .doc = "Mean that is subtracted from keys before hashing, frozen after the prompt: over the offloaded keys, over all, or none",
       .choices = {"offloaded", "all", "none"}},
      {.name = "W_scope", .type = ParameterType::choice, .maximum = 1, .fallback = choice(defaults.scope),
       .doc = "Random directions: one set for the whole model (serving code), or one per kv head and 16 layers (evaluation code)",
       .choices = {"global", "per-kv-head"}},
      {.name = "seed", .maximum = 4294967295.0, .fallback = 0, .doc = "Of the random directions; results are spread over seeds"},
  };
  if (defaults.transform)
    list.push_back({.name = "transform", .type = ParameterType::flag, .maximum = 1, .fallback = 0,
                    .doc = "Append sqrt(r^2 - |k|^2) to keys and 0 to queries (equation 8), r the largest norm; the paper's experiments leave it out"});
  return list;
}

Preset preset(const Defaults& defaults, const char* name, const char* source, double K, double L) {
  Preset result{.name = name, .source = source, .values = {}};
  for (const Parameter& p : parameters(defaults)) result.values.push_back(p.fallback);
  result.values[k] = K;
  result.values[l] = L;
  return result;
}

Result<std::unique_ptr<RetrievalPolicy>> make(const PolicyConfig& c, const Defaults& defaults) {
  if (c.count(min_tables) > c.count(l))
    return Error{"E_POLICY_COMBINATION", "magicpig: min_tables=" + std::to_string(c.count(min_tables)) + " can never be reached with L=" +
                                             std::to_string(c.count(l)) + " tables; raise L or lower min_tables"};
  const Settings settings{.K = c.count(k), .L = c.count(l), .min_tables = c.count(min_tables), .sink = c.count(sink), .local = c.count(local),
                          .eps = c[eps], .dense_layers = static_cast<DenseLayers>(c.count(dense_layers)), .centre = static_cast<Centre>(c.count(centre)),
                          .scope = static_cast<Scope>(c.count(w_scope)), .seed = static_cast<std::uint64_t>(c[seed]),
                          .transform = defaults.transform && c.flag(transform), .short_ids = defaults.short_ids};
  return std::unique_ptr<RetrievalPolicy>(std::make_unique<Policy>(settings));
}

}  // namespace attnscope::magicpig
