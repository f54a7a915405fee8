// K and V of a run in an execution scheme: on the device, or in a store on the host or on disk with two places on the device that parts of the
// cache pass through. A part is a layer, or a kv head of one. Heads of a part lie one after the other, [head][K, V][capacity][head_dim].
#pragma once
#include <span>

#include "host/device/scheme_file.h"
#include "host/device/scheme_memory.h"

namespace attnscope {

class SchemeCache {
 public:
  /// All arguments outlive this.
  SchemeCache(const Plan& plan, const SchemePlan& scheme, KernelDevice& device, SchemeMemory& memory, SchemeResult& result);
  ~SchemeCache();
  SchemeCache(const SchemeCache&) = delete;

  /// Takes the places, and room on disk.
  Status open();

  /// Of a layer: 1, or one a kv head.
  std::uint32_t parts() const { return parts_; }
  std::uint32_t heads_of_part() const { return plan_.model.kv_heads / parts_; }
  std::uint32_t held(std::uint32_t layer, std::uint32_t kv_head) const { return held_[layer * plan_.model.kv_heads + kv_head]; }
  std::uint32_t longest(std::uint32_t layer) const;
  bool uniform(std::uint32_t layer) const;

  /// The steps of one part; parts come in order, again and again. Has its rows on the device, with room for `more`, before what is queued
  /// for computing from now on; and begins to bring the next part's, unless this is the `last` one for now.
  Status begin(std::uint32_t layer, std::uint32_t part, std::uint32_t more, bool last);
  /// Rows of head `head` of the part from `row` on; K and V of its heads are head_stride apart.
  HeadTensor keys(std::uint32_t head, std::uint32_t row) const { return side(0, head, row); }
  HeadTensor values(std::uint32_t head, std::uint32_t row) const { return side(1, head, row); }
  /// `count` rows were written behind the last of every head of the part.
  Status appended(std::uint32_t count);
  /// Drops rows of a layer by their ascending indices, slots[kv head].
  Status evict(std::span<const std::vector<std::uint32_t>> slots);
  /// All that reads the part is queued.
  Status end();

  /// Brings everything back to the device, where it stays.
  Status reload();
  /// Waits until all that left the device has arrived.
  Status settle();

 private:
  struct Block {
    DeviceBuffer memory;
    std::uint32_t capacity = 0;         // rows of a side of a head
  };
  struct Place {
    Block block;
    DeviceBuffer staging;               // disk: pinned, laid out as the block
    Event ready = nullptr, used = nullptr, written = nullptr;  // came; read by all that was queued; new rows are there
    std::int64_t unit = -1;             // layer and part
    bool fetched = false, to_upload = false, uploaded = false, to_save = false;
    std::uint64_t job = 0;              // of the file: the last that concerns staging
    std::vector<std::uint32_t> saved_from;  // [heads of part] first row that is on its way to the store
  };

  std::uint32_t layer_of(std::int64_t unit) const { return static_cast<std::uint32_t>(unit) / parts_; }
  /// Rows held by the unit's heads.
  std::span<std::uint32_t> rows_of(std::int64_t unit) { return {held_.data() + unit * heads_of_part(), heads_of_part()}; }
  std::uint64_t block_bytes(std::uint32_t heads, std::uint32_t capacity) const { return std::uint64_t{heads} * 2 * capacity * row_bytes_; }
  std::uint64_t offset(std::uint32_t capacity, std::uint32_t head, std::uint32_t side, std::uint32_t row) const {
    return ((std::uint64_t{head} * 2 + side) * capacity + row) * row_bytes_;
  }
  HeadTensor side(std::uint32_t side, std::uint32_t head, std::uint32_t row) const;
  Status room(Block& block, std::uint32_t rows, std::span<const std::uint32_t> held);
  Status fetch(Place& place, std::int64_t unit, std::uint32_t more);
  Status upload(Place& place);
  Status save(Place& place, bool all);
  Status save_to_disk(Place& place);
  std::vector<OffloadFile::Piece> pieces(Place& place, std::span<const std::uint32_t> from);
  /// Copies rows [from[head], held[head]) of both sides of every head of a unit, in the queue of their direction.
  Status move(SchemeEvent::Kind way, std::int64_t unit, std::span<const std::uint32_t> from, std::byte* on_device, std::uint32_t device_capacity, std::byte* on_host,
              std::uint32_t host_capacity);
  Status host_room(std::int64_t unit);
  template <class Wait>
  Status waiting(double& seconds, Wait wait);
  Status await(Event event, SchemeResult::Transfer& transfer);

  const Plan& plan_;
  const SchemePlan& scheme_;
  KernelDevice& device_;
  SchemeMemory& memory_;
  SchemeResult& result_;
  const std::uint64_t row_bytes_;
  const bool copies_alone_;             // nothing runs beside a copy
  bool offloaded_;
  std::uint32_t parts_;
  std::vector<std::uint32_t> held_;     // [layers][kv heads]
  std::vector<Block> resident_, host_;  // [layers]
  std::vector<Event> saved_;            // [units]: what left the device has arrived on the host
  std::unique_ptr<OffloadFile> file_;
  std::uint64_t file_bytes_ = 0;
  Place places_[2];
  std::size_t current_ = 0;
  Block* block_ = nullptr;              // of the part that is worked on
  std::int64_t unit_ = 0;
};

}  // namespace attnscope
