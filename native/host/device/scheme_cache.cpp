#include "host/device/scheme_cache.h"

#include <algorithm>
#include <chrono>

#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {
namespace scheme_cache {

using memory::Category;
using memory::Op;

/// Rows that memory of a cache with a policy is made for.
std::uint32_t rounded(std::uint32_t rows) { return (rows + 63) / 64 * 64; }

}  // namespace scheme_cache

SchemeCache::SchemeCache(const Plan& plan, const SchemePlan& scheme, KernelDevice& device, SchemeMemory& memory, SchemeResult& result)
    : plan_(plan), scheme_(scheme), device_(device), memory_(memory), result_(result), row_bytes_(plan.model.head_dim * size_of(plan.vectors)),
      copies_alone_(!scheme.overlap || std::string_view(device.facts().kind) == "cpu"), offloaded_(scheme.scheme.offload.unit != memory::Offload::Unit::none),
      parts_(scheme.scheme.offload.unit == memory::Offload::Unit::head ? plan.model.kv_heads : 1), held_(std::size_t{plan.model.layers} * plan.model.kv_heads),
      resident_(plan.model.layers), host_(plan.model.layers) {}

SchemeCache::~SchemeCache() {
  (void)device_.synchronize();
  if (file_ != nullptr) memory_.on_disk(false, file_bytes_, "offloaded keys and values");
  file_.reset();
  for (Place& place : places_)
    for (Event event : {place.ready, place.used, place.written})
      if (event != nullptr) device_.release_event(event);
  for (Event event : saved_)
    if (event != nullptr) device_.release_event(event);
}

Status SchemeCache::open() {
  if (!offloaded_) return success();
  memory_.op = memory::Op::append;
  const auto make_event = [&](Event& event) -> Status {
    if ((event = device_.create_event()) == nullptr) return failure("E_DEVICE_MEMORY", "the device has no memory left for an event; close other programs that use it");
    return success();
  };
  saved_.resize(std::size_t{plan_.model.layers} * parts_);
  for (Event& event : saved_) ATTNSCOPE_TRY(make_event(event));
  const std::uint64_t unit_bytes = block_bytes(heads_of_part(), plan_.total_tokens());
  for (Place& place : places_) {
    for (Event* event : {&place.ready, &place.used, &place.written}) ATTNSCOPE_TRY(make_event(*event));
    if (scheme_.store == SchemePlan::Store::disk)
      ATTNSCOPE_TRY(memory_.allocate_host(place.staging, unit_bytes, memory::Category::kv, "offloaded keys and values on their way to disk"));
    if (!scheme_.retention) ATTNSCOPE_TRY(room(place.block, plan_.total_tokens(), {}));
  }
  if (scheme_.store != SchemePlan::Store::disk) return success();
  auto file = OffloadFile::create(scheme_.folder, unit_bytes * saved_.size());
  if (!file) return file.error();
  file_ = file.take();
  memory_.on_disk(true, file_bytes_ = unit_bytes * saved_.size(), "offloaded keys and values");
  return success();
}

std::uint32_t SchemeCache::longest(std::uint32_t layer) const {
  const auto first = held_.begin() + static_cast<std::ptrdiff_t>(layer) * plan_.model.kv_heads;
  return *std::max_element(first, first + plan_.model.kv_heads);
}

bool SchemeCache::uniform(std::uint32_t layer) const {
  const auto first = held_.begin() + static_cast<std::ptrdiff_t>(layer) * plan_.model.kv_heads;
  return std::all_of(first, first + plan_.model.kv_heads, [&](std::uint32_t each) { return each == *first; });
}

HeadTensor SchemeCache::side(std::uint32_t side, std::uint32_t head, std::uint32_t row) const {
  const std::uint64_t dim = plan_.model.head_dim;
  return {block_->memory.at(offset(block_->capacity, head, side, row)), 2 * dim * block_->capacity, dim};
}

/// Without a policy a cache is as long as the sequence will be; with one, as what it holds. `held` rows move along, where there are any.
Status SchemeCache::room(Block& block, std::uint32_t rows, std::span<const std::uint32_t> held) {
  if (rows <= block.capacity) return success();
  const std::uint32_t capacity = scheme_.retention ? scheme_cache::rounded(rows) : plan_.total_tokens();
  const std::uint32_t heads = offloaded_ ? heads_of_part() : plan_.model.kv_heads;
  DeviceBuffer memory;
  ATTNSCOPE_TRY(memory_.allocate(memory, block_bytes(heads, capacity), memory::Category::kv, "the KV cache"));
  for (std::uint32_t head = 0; head < held.size(); ++head)
    for (std::uint32_t side = 0; side < 2 && held[head] > 0; ++side)
      ATTNSCOPE_TRY(check(device_.copy(memory.at(offset(capacity, head, side, 0)), block.memory.at(offset(block.capacity, head, side, 0)), held[head] * row_bytes_)));
  block.memory = std::move(memory);
  block.capacity = capacity;
  return success();
}

Status SchemeCache::begin(std::uint32_t layer, std::uint32_t part, std::uint32_t more, bool last) {
  memory_.op = memory::Op::append;
  unit_ = std::int64_t{layer} * parts_ + part;
  if (!offloaded_) {
    block_ = &resident_[layer];
    return room(*block_, longest(layer) + more, block_->memory ? rows_of(unit_) : std::span<std::uint32_t>());
  }
  current_ = 1 - current_;
  Place& place = places_[current_];
  if (place.unit != unit_ || !place.fetched) ATTNSCOPE_TRY(fetch(place, unit_, more));
  if (place.to_upload) ATTNSCOPE_TRY(upload(place));
  if (place.uploaded) ATTNSCOPE_TRY(check(device_.wait(Queue::compute, place.ready)));
  place.fetched = false;
  block_ = &place.block;

  const std::int64_t next = (unit_ + 1) % static_cast<std::int64_t>(saved_.size());
  if (last || next == unit_ || !scheme_.overlap) return success();
  // A place that a policy's rows outgrow is made anew once it is known how many will come.
  if (next == 0 && scheme_.retention) return success();
  memory_.op = memory::Op::prefetch;
  const auto rows = rows_of(next);
  return *std::max_element(rows.begin(), rows.end()) == 0 ? success() : fetch(places_[1 - current_], next, more);
}

/// Prepares a place for a unit: what was in it is safe in the store, the unit's rows are on their way.
Status SchemeCache::fetch(Place& place, std::int64_t unit, std::uint32_t more) {
  const auto rows = rows_of(unit);
  const std::uint32_t most = *std::max_element(rows.begin(), rows.end());
  const std::int64_t before = place.unit;
  ATTNSCOPE_TRY(save_to_disk(place));
  if (most + more > place.block.capacity) {
    if (before >= 0) ATTNSCOPE_TRY(await(saved_[before], result_.to_host));
    ATTNSCOPE_TRY(room(place.block, most + more, {}));
    ATTNSCOPE_TRY(check(device_.record(place.used, Queue::compute)));  // whoever had the memory before
  }
  place.unit = unit, place.fetched = true, place.to_upload = false, place.uploaded = false;
  if (most == 0) return before < 0 ? success() : check(device_.wait(Queue::compute, saved_[before]));
  ATTNSCOPE_TRY(check(device_.wait(Queue::upload, place.used)));
  if (before >= 0) ATTNSCOPE_TRY(check(device_.wait(Queue::upload, saved_[before])));
  if (file_ == nullptr) {
    ATTNSCOPE_TRY(check(device_.wait(Queue::upload, saved_[unit])));
    return upload(place);
  }
  // The other place may still hold what is to be read: its job to write comes first.
  for (Place& other : places_)
    if (other.unit == unit && &other != &place) ATTNSCOPE_TRY(save_to_disk(other));
  ATTNSCOPE_TRY(await(place.ready, result_.to_device));  // the staging memory is free
  const std::vector<std::uint32_t> from(rows.size(), 0);
  place.job = file_->read(pieces(place, from));
  place.to_upload = true;
  return success();
}

Status SchemeCache::upload(Place& place) {
  const std::vector<std::uint32_t> from(heads_of_part(), 0);
  std::byte* host = nullptr;
  std::uint32_t capacity = plan_.total_tokens();
  if (file_ != nullptr) {
    ATTNSCOPE_TRY(waiting(result_.from_disk.waited, [&] { return file_->wait(place.job); }));
    host = place.staging.at(0);
  } else {
    const Block& block = host_[layer_of(place.unit)];
    capacity = block.capacity;
    host = block.memory.at(block_bytes(heads_of_part(), capacity) * (static_cast<std::uint64_t>(place.unit) % parts_));
  }
  ATTNSCOPE_TRY(move(SchemeEvent::Kind::h2d, place.unit, from, place.block.memory.at(0), place.block.capacity, host, capacity));
  place.to_upload = false, place.uploaded = true;
  return check(device_.record(place.ready, Queue::upload));
}

Status SchemeCache::move(SchemeEvent::Kind way, std::int64_t unit, std::span<const std::uint32_t> from, std::byte* on_device, std::uint32_t device_capacity,
                         std::byte* on_host, std::uint32_t host_capacity) {
  using Clock = std::chrono::steady_clock;
  const bool up = way == SchemeEvent::Kind::h2d;
  SchemeResult::Transfer& transfer = up ? result_.to_device : result_.to_host;
  if (copies_alone_) ATTNSCOPE_TRY(check(device_.synchronize()));
  const Clock::time_point start = Clock::now();
  std::uint64_t moved = 0;
  for (std::uint32_t head = 0; head < from.size(); ++head) {
    const std::uint32_t rows = rows_of(unit)[head] - from[head];
    for (std::uint32_t side = 0; side < 2 && rows > 0; ++side) {
      std::byte *device = on_device + offset(device_capacity, head, side, from[head]), *host = on_host + offset(host_capacity, head, side, from[head]);
      ATTNSCOPE_TRY(check(up ? device_.upload_in(Queue::upload, device, host, rows * row_bytes_) : device_.download_in(Queue::download, host, device, rows * row_bytes_)));
      moved += rows * row_bytes_;
      ++transfer.copies;
    }
  }
  transfer.bytes += moved;
  if (copies_alone_) {
    ATTNSCOPE_TRY(check(device_.synchronize()));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    transfer.busy += seconds, transfer.waited += seconds;
  } else {
    transfer.busy = -1;
  }
  memory_.copied(way, moved, "keys and values");
  return success();
}

std::vector<OffloadFile::Piece> SchemeCache::pieces(Place& place, std::span<const std::uint32_t> from) {
  const std::uint32_t capacity = plan_.total_tokens();
  const std::uint64_t at = static_cast<std::uint64_t>(place.unit) * block_bytes(heads_of_part(), capacity);
  std::vector<OffloadFile::Piece> pieces;
  for (std::uint32_t head = 0; head < from.size(); ++head)
    for (std::uint32_t side = 0; side < 2; ++side)
      if (const std::uint32_t rows = rows_of(place.unit)[head] - from[head]; rows > 0) {
        const std::uint64_t begin = offset(capacity, head, side, from[head]);
        pieces.push_back({place.staging.at(begin), at + begin, rows * row_bytes_});
      }
  SchemeResult::Transfer& transfer = place.to_save ? result_.to_disk : result_.from_disk;
  std::uint64_t bytes = 0;
  for (const OffloadFile::Piece& piece : pieces) bytes += piece.bytes;
  transfer.bytes += bytes, transfer.copies += pieces.size();
  memory_.copied(place.to_save ? SchemeEvent::Kind::disk_write : SchemeEvent::Kind::disk_read, bytes, "keys and values");
  return pieces;
}

/// What came down into a place's staging memory goes on to the file. The host waits for it: it comes a whole layer before it is needed.
Status SchemeCache::save_to_disk(Place& place) {
  if (!place.to_save) return success();
  ATTNSCOPE_TRY(await(saved_[place.unit], result_.to_host));
  place.job = file_->write(pieces(place, place.saved_from));
  place.to_save = false;
  return success();
}

Status SchemeCache::host_room(std::int64_t unit) {
  Block& block = host_[layer_of(unit)];
  const std::uint32_t rows = longest(layer_of(unit));
  if (rows <= block.capacity) return success();
  if (block.memory) ATTNSCOPE_TRY(check(device_.synchronize()));  // what is still copied from it
  block.memory = {};
  block.capacity = scheme_.retention ? scheme_cache::rounded(rows) : plan_.total_tokens();
  return memory_.allocate_host(block.memory, block_bytes(plan_.model.kv_heads, block.capacity), memory::Category::kv, "offloaded keys and values");
}

Status SchemeCache::save(Place& place, bool all) {
  ATTNSCOPE_TRY(check(device_.record(place.written, Queue::compute)));
  ATTNSCOPE_TRY(check(device_.wait(Queue::download, place.written)));
  if (all) std::fill(place.saved_from.begin(), place.saved_from.end(), 0u);
  std::byte* host = nullptr;
  std::uint32_t capacity = plan_.total_tokens();
  if (file_ != nullptr) {
    ATTNSCOPE_TRY(waiting(result_.to_disk.waited, [&] { return file_->wait(place.job); }));  // the staging memory is free
    host = place.staging.at(0);
    place.to_save = true;
  } else {
    ATTNSCOPE_TRY(host_room(place.unit));
    const Block& block = host_[layer_of(place.unit)];
    capacity = block.capacity;
    host = block.memory.at(block_bytes(heads_of_part(), capacity) * (static_cast<std::uint64_t>(place.unit) % parts_));
  }
  ATTNSCOPE_TRY(move(SchemeEvent::Kind::d2h, place.unit, place.saved_from, place.block.memory.at(0), place.block.capacity, host, capacity));
  return check(device_.record(saved_[place.unit], Queue::download));
}

/// Rows leave at once, while they are attended to; under a policy once it has dropped some.
Status SchemeCache::appended(std::uint32_t count) {
  const auto rows = rows_of(unit_);
  std::vector<std::uint32_t> from(rows.begin(), rows.end());
  for (std::uint32_t& held : rows) held += count;
  if (!offloaded_) return success();
  places_[current_].saved_from = std::move(from);
  memory_.op = memory::Op::evict;
  return scheme_.retention ? success() : save(places_[current_], false);
}

Status SchemeCache::evict(std::span<const std::vector<std::uint32_t>> slots) {
  memory_.op = memory::Op::retain;
  const auto held = rows_of(unit_);
  std::vector<std::uint32_t> stay, offsets, kept(held.size());
  for (std::uint32_t head = 0; head < held.size(); ++head) {
    offsets.push_back(static_cast<std::uint32_t>(stay.size()));
    std::size_t next = 0;
    for (std::uint32_t slot = 0; slot < held[head]; ++slot) {
      if (next < slots[head].size() && slots[head][next] == slot) ++next;
      else stay.push_back(slot);
    }
    if (next != slots[head].size()) return failure("E_POLICY_EVICT", "a retention policy drops rows that kv head ", head, " of layer ", layer_of(unit_), " does not hold");
    kept[head] = static_cast<std::uint32_t>(stay.size()) - offsets[head];
  }
  const std::uint32_t most = *std::max_element(kept.begin(), kept.end());
  // With room for the next token.
  const std::uint32_t capacity = scheme_cache::rounded(most + 1);
  const bool smaller = !offloaded_ && capacity < block_->capacity;
  DeviceBuffer list, moved;
  ATTNSCOPE_TRY(memory_.allocate(list, std::max<std::uint64_t>(stay.size(), 1) * sizeof(std::uint32_t), memory::Category::index, "a list of rows that stay"));
  ATTNSCOPE_TRY(check(device_.upload(list.data(), stay.data(), stay.size() * sizeof(std::uint32_t))));
  ATTNSCOPE_TRY(memory_.allocate(moved, smaller ? block_bytes(static_cast<std::uint32_t>(held.size()), capacity) : std::max(most, 1u) * row_bytes_, memory::Category::kv,
                                 "keys and values that stay"));
  for (std::uint32_t head = 0; head < held.size(); ++head)
    for (std::uint32_t side = 0; side < 2 && kept[head] > 0; ++side) {
      std::byte* from = block_->memory.at(offset(block_->capacity, head, side, 0));
      std::byte* to = smaller ? moved.at(offset(capacity, head, side, 0)) : moved.at(0);
      ATTNSCOPE_TRY(check(device_.gather({kept[head], row_bytes_, row_bytes_, from, list.as<std::uint32_t>() + offsets[head], to})));
      if (!smaller) ATTNSCOPE_TRY(check(device_.copy(from, to, kept[head] * row_bytes_)));
    }
  std::copy(kept.begin(), kept.end(), held.begin());
  if (!smaller) return success();
  block_->memory = std::move(moved);
  block_->capacity = capacity;
  return success();
}

Status SchemeCache::end() {
  if (!offloaded_) return success();
  memory_.op = memory::Op::evict;
  Place& place = places_[current_];
  if (scheme_.retention) ATTNSCOPE_TRY(save(place, true));
  return check(device_.record(place.used, Queue::compute));
}

Status SchemeCache::settle() {
  if (!offloaded_) return success();
  ATTNSCOPE_TRY(waiting(result_.to_host.waited, [&] { return check(device_.synchronize()); }));
  for (Place& place : places_) ATTNSCOPE_TRY(save_to_disk(place));
  if (file_ == nullptr) return success();
  const std::uint64_t last = file_->write({});
  ATTNSCOPE_TRY(waiting(result_.to_disk.waited, [&] { return file_->wait(last); }));
  result_.to_disk.busy = file_->write_seconds(), result_.from_disk.busy = file_->read_seconds();
  return success();
}

Status SchemeCache::reload() {
  if (!offloaded_) return success();
  memory_.op = memory::Op::reload;
  ATTNSCOPE_TRY(settle());
  for (Place& place : places_) place.block = {}, place.unit = -1;
  const std::uint32_t kv_heads = plan_.model.kv_heads, heads = heads_of_part(), units = static_cast<std::uint32_t>(saved_.size());
  const std::vector<std::uint32_t> from(heads, 0);
  // The file's next part is read while one goes up.
  const auto read = [&](std::uint32_t unit) {
    if (file_ == nullptr || unit >= units) return;
    Place& place = places_[unit % 2];
    place.unit = unit;
    place.job = file_->read(pieces(place, from));
  };
  read(0);
  for (std::uint32_t unit = 0; unit < units; ++unit) {
    const std::uint32_t layer = layer_of(unit), part = unit % parts_;
    Place& place = places_[unit % 2];
    memory_.layer = static_cast<std::int16_t>(layer);
    Block& to = resident_[layer];
    if (part == 0) {
      to.capacity = scheme_.retention ? scheme_cache::rounded(longest(layer) + 1) : plan_.total_tokens();
      ATTNSCOPE_TRY(memory_.allocate(to.memory, block_bytes(kv_heads, to.capacity), memory::Category::kv, "the KV cache"));
    }
    std::byte* on_device = to.memory.at(block_bytes(heads, to.capacity) * part);
    if (file_ != nullptr) {
      ATTNSCOPE_TRY(waiting(result_.from_disk.waited, [&] { return file_->wait(place.job); }));
      read(unit + 1);
      ATTNSCOPE_TRY(move(SchemeEvent::Kind::h2d, unit, from, on_device, to.capacity, place.staging.at(0), plan_.total_tokens()));
    } else {
      Block& host = host_[layer];
      ATTNSCOPE_TRY(move(SchemeEvent::Kind::h2d, unit, from, on_device, to.capacity, host.memory.at(block_bytes(heads, host.capacity) * part), host.capacity));
    }
    ATTNSCOPE_TRY(check(device_.record(place.ready, Queue::upload)));
    ATTNSCOPE_TRY(await(place.ready, result_.to_device));
    if (part + 1 == parts_) host_[layer] = {};
  }
  memory_.layer = -1;
  for (Place& place : places_) place.staging = {};
  if (file_ != nullptr) {
    result_.from_disk.busy = file_->read_seconds();
    file_.reset();
    memory_.on_disk(false, file_bytes_, "offloaded keys and values");
  }
  offloaded_ = false;
  parts_ = 1;
  return success();
}

template <class Wait>
Status SchemeCache::waiting(double& seconds, Wait wait) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Status status = wait();
  seconds += std::chrono::duration<double>(Clock::now() - start).count();
  return status;
}

Status SchemeCache::await(Event event, SchemeResult::Transfer& transfer) {
  return waiting(transfer.waited, [&] { return check(device_.await(event)); });
}

}  // namespace attnscope
