#include "core/policy/score_row.h"

#include <algorithm>

#include "core/simd.h"

namespace attnscope {
namespace score_row {

constexpr std::size_t kept_bytes = std::size_t{160} << 20;

struct Store {
  std::map<std::uint32_t, std::vector<float>> rows;  // by position
  std::size_t bytes = 0;
};

void compute(const LayerInput& input, Rows keys, std::uint32_t first, const float* q, std::vector<float>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = dot(q, keys.row(first + i), input.head_dim) * input.scale;
}

bool is_stored(const LayerInput& input, std::uint32_t head, std::uint32_t position) {
  if (head >= input.queries.size()) return false;
  const auto positions = input.queries[head].positions;
  return std::binary_search(positions.begin(), positions.end(), position);
}

}  // namespace score_row

float dot(const float* a, const float* b, std::size_t n) {
  using namespace simd;
  f32x8 s0 = splat(0.0f), s1 = s0, s2 = s0, s3 = s0;  // four chains hide the latency of the additions
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = load(a + i) * load(b + i) + s0;
    s1 = load(a + i + lanes) * load(b + i + lanes) + s1;
    s2 = load(a + i + 2 * lanes) * load(b + i + 2 * lanes) + s2;
    s3 = load(a + i + 3 * lanes) * load(b + i + 3 * lanes) + s3;
  }
  for (; i + lanes <= n; i += lanes) s0 = load(a + i) * load(b + i) + s0;
  float sum = horizontal_sum((s0 + s1) + (s2 + s3));
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

ScoreRow visible_scores(const LayerInput& input, std::uint32_t head, std::uint32_t position, const float* q, std::vector<float>& scratch) {
  const Rows keys = input.keys[input.kv_head(head)];
  const std::uint32_t first = input.visibility.first_key(position), visible = position + 1 - first;
  if (score_row::is_stored(input, head, position)) {
    const std::string name = "scores/" + std::to_string(input.layer) + "/" + std::to_string(head);
    auto& store = *input.memo->get<std::shared_ptr<score_row::Store>>(name, [] { return std::make_shared<score_row::Store>(); });
    auto found = store.rows.find(position);
    if (found == store.rows.end() && store.bytes + visible * sizeof(float) <= score_row::kept_bytes) {
      found = store.rows.emplace(position, std::vector<float>(visible)).first;
      score_row::compute(input, keys, first, q, found->second);
      store.bytes += visible * sizeof(float);
    }
    if (found != store.rows.end()) return {first, found->second};
  }
  scratch.resize(visible);
  score_row::compute(input, keys, first, q, scratch);
  return {first, scratch};
}

}  // namespace attnscope
