// Tiles and columns of every head and row block, on the host and on the device.
#pragma once
#include <memory>

#include "tools/check/device_array.h"

namespace attnscope::check_kernels {

/// What one row block of a head reads.
struct BlockKeys {
  std::vector<std::uint32_t> tiles, columns;  // both ascending; columns outside the tiles
  bool holds(std::uint32_t key) const {
    const auto after = std::upper_bound(tiles.begin(), tiles.end(), key);
    return (after != tiles.begin() && key - after[-1] < 64) || std::binary_search(columns.begin(), columns.end(), key);
  }
};
/// [heads][row blocks]
using IndexLists = std::vector<std::vector<BlockKeys>>;

/// The lists as a kernel reads them; what lies between a head's end and its capacity is poison.
class SparseArrays {
 public:
  SparseArrays(Session& session, const IndexLists& lists, bool with_columns);
  SparseIndex index() const {
    return {tile_offset_->data(), tile_->data(), with_columns_ ? column_offset_->data() : nullptr, with_columns_ ? column_->data() : nullptr,
            tile_capacity_, column_capacity_};
  }

 private:
  bool with_columns_;
  std::size_t tile_capacity_ = 0, column_capacity_ = 0;
  std::unique_ptr<DeviceArray<std::uint32_t>> tile_offset_, tile_, column_offset_, column_;
};

}  // namespace attnscope::check_kernels
