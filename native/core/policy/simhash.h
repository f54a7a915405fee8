// SimHash: signs of projections on random directions, grouped into the codes of hash tables (arXiv 2410.16179, 4.3).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/block_product.h"
#include "core/policy/seeded.h"
#include "core/views.h"

namespace attnscope::simhash {

/// A code has K <= 15 bits and lies within 16 consecutive columns or across two words of them.
inline constexpr std::uint32_t max_bits = 15;

/// W: `depth` x columns, iid N(0,1), in panels of 16 columns. Column c holds the same numbers however many there are:
/// table l of K bits uses columns [l K, (l + 1) K), so other K and L regroup columns that are already there.
class Projection {
 public:
  Projection(const seeded::Stream& stream, std::size_t depth) : stream_(stream), depth_(depth) {}
  void grow(std::size_t columns);  // rounded up to whole panels
  std::size_t depth() const { return depth_; }
  std::size_t panels() const { return weights_.size() / (depth_ * panel_width); }
  const float* panel(std::size_t p) const { return weights_.data() + p * depth_ * panel_width; }

 private:
  seeded::Stream stream_;
  std::size_t depth_;
  std::vector<float> weights_;
};

/// Signs of `rows` on panels [first_panel, end_panel): bit j of out[(p - first_panel) * out_stride + i] is
/// [x_i . W[:, 16 p + j] > 0].
void project_signs(Rows rows, const Projection& projection, std::size_t first_panel, std::size_t end_panel, std::uint16_t* out,
                   std::size_t out_stride);

/// The same from panels of [rows.dim][16] wherever they come from.
void project_signs(Rows rows, const float* panels, std::size_t first_panel, std::size_t end_panel, std::uint16_t* out, std::size_t out_stride);

/// Codes of `count` rows in table `table`: bit j = sign on column table * K + j, j = 0 least significant. `signs` as
/// project_signs wrote them from panel 0.
void table_codes(const std::uint16_t* signs, std::size_t stride, std::size_t count, std::uint32_t K, std::uint32_t table, std::uint16_t* codes);

}  // namespace attnscope::simhash
