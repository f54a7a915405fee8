// A policy's decision on a square of the map, at any zoom: what the viewer lays over a tile.
#pragma once
#include "core/replay/trace.h"
#include "core/tile.h"

namespace attnscope {

/// Shares of a cell's visible pairs, row-major [edge][edge]; NaN where a cell has no visible pair, or none of a row that
/// was evaluated.
struct MaskTile {
  std::vector<float> kept, forced;
  /// 1 where every visible row of the cell was looked at, 0 where only some evaluated rows were (or none).
  std::vector<std::uint8_t> complete;
};

/// Exact for every pair of the prompt: a prefill plan says all. Rows after the prompt are in no cell.
void mask_tile(const PrefillPlan& plan, const TileGrid& grid, Visibility visibility, MaskTile& out);
/// From the rows of a trace; rows before `dense_before` are dense (all kept, nothing forced), evaluated or not.
void mask_tile(const HeadTrace& trace, const TileGrid& grid, Visibility visibility, std::uint32_t dense_before, MaskTile& out);

}  // namespace attnscope
