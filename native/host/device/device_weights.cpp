#include "host/device/device_weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {
namespace device_weights {

/// Pinned memory that tensors pass through on their way to the device, twice.
constexpr std::uint64_t kStagingBytes = std::uint64_t{64} << 20;
/// Elements a task converts: long enough to be worth waking a thread for.
constexpr std::size_t kTaskElements = std::size_t{1} << 18;
constexpr const char* kAdvice = "use --weights streamed or a model of fewer parameters";

struct Shape {
  std::uint64_t rows, columns;
};
using Shapes = std::array<Shape, DeviceWeights::matrices>;

/// q, k, v, o, gate, up, down.
Shapes shapes_of(const ModelPlan& m) {
  const std::uint64_t query_width = std::uint64_t(m.heads) * m.head_dim, kv_width = std::uint64_t(m.kv_heads) * m.head_dim;
  return {{{query_width, m.hidden_size}, {kv_width, m.hidden_size}, {kv_width, m.hidden_size}, {m.hidden_size, query_width},
           {m.feed_forward_size, m.hidden_size}, {m.feed_forward_size, m.hidden_size}, {m.hidden_size, m.feed_forward_size}}};
}

std::array<const Tensor*, DeviceWeights::matrices> matrices_of(const LlamaTensors::Layer& layer) {
  return {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down};
}

/// Where each matrix begins in a layer's buffer, and its end.
std::array<std::uint64_t, DeviceWeights::matrices + 1> offsets_of(const ModelPlan& plan, DType compute) {
  std::array<std::uint64_t, DeviceWeights::matrices + 1> offsets{};
  const Shapes shapes = shapes_of(plan);
  for (std::size_t i = 0; i < shapes.size(); ++i) offsets[i + 1] = offsets[i] + aligned(shapes[i].rows * shapes[i].columns * size_of(compute));
  return offsets;
}

}  // namespace device_weights

std::vector<BufferWant> list_weights(const ModelPlan& plan, DType compute, bool streamed, WeightBuffers& buffers) {
  using namespace device_weights;
  const std::uint64_t table = std::uint64_t{plan.vocab_size} * plan.hidden_size * size_of(compute), layer = offsets_of(plan, compute).back();
  const std::uint64_t staging = streamed ? std::max(layer, std::min(table, kStagingBytes)) : std::min(std::max(layer, table), kStagingBytes);
  buffers.layers.resize(streamed ? 2 : plan.layers);
  std::vector<BufferWant> wanted = {{&buffers.embedding, table, "the token embedding", MemoryCategory::weights, kAdvice},
                                    {&buffers.norms, (2 * std::uint64_t{plan.layers} + 1) * plan.hidden_size * sizeof(float), "the norms' weights", MemoryCategory::weights, kAdvice}};
  if (!plan.tied_embeddings) wanted.push_back({&buffers.head, table, "the output head", MemoryCategory::weights, kAdvice});
  for (DeviceBuffer& buffer : buffers.layers) wanted.push_back({&buffer, layer, "a layer's weights", MemoryCategory::weights, kAdvice});
  for (DeviceBuffer& buffer : buffers.staging) wanted.push_back({&buffer, staging, "weights on their way to the device", MemoryCategory::weights, "", true, !streamed});
  return wanted;
}

Result<std::unique_ptr<DeviceWeights>> DeviceWeights::load(const ModelPlan& plan, const LlamaTensors& tensors, DType compute, bool streamed, unsigned threads,
                                                           KernelDevice& device, DeviceMemory& memory) {
  std::unique_ptr<DeviceWeights> weights(new DeviceWeights(plan, tensors, compute, streamed, threads, device));
  ATTNSCOPE_TRY(weights->load_all(memory));
  return Result<std::unique_ptr<DeviceWeights>>(std::move(weights));
}

DeviceWeights::DeviceWeights(const ModelPlan& plan, const LlamaTensors& tensors, DType compute, bool streamed, unsigned threads, KernelDevice& device)
    : plan_(plan), tensors_(tensors), compute_(compute), streamed_(streamed), device_(device), pool_(std::clamp(threads, 1u, 8u)) {}

DeviceWeights::~DeviceWeights() {
  if (filler_.joinable()) filler_.join();
  for (Place& place : places_)
    for (Event event : {place.uploaded, place.consumed})
      if (event != nullptr) {
        (void)device_.await(event);
        device_.release_event(event);
      }
}

Status DeviceWeights::load_all(DeviceMemory& memory) {
  ATTNSCOPE_TRY(allocate(memory, list_weights(plan_, compute_, streamed_, buffers_)));
  for (Place& place : places_)
    for (Event* event : {&place.uploaded, &place.consumed})
      if ((*event = device_.create_event()) == nullptr) return failure("E_DEVICE_MEMORY", "the device has no memory left for an event; close other programs that use it");
  ATTNSCOPE_TRY(load_norms());
  ATTNSCOPE_TRY(upload(tensors_.embedding, buffers_.embedding.at(0)));
  if (buffers_.head) ATTNSCOPE_TRY(upload(tensors_.head, buffers_.head.at(0)));
  if (!streamed_) {
    const auto offsets = device_weights::offsets_of(plan_, compute_);
    for (std::uint32_t layer = 0; layer < plan_.layers; ++layer) {
      const auto matrices = device_weights::matrices_of(tensors_.layers[layer]);
      for (std::size_t i = 0; i < matrices.size(); ++i) ATTNSCOPE_TRY(upload(*matrices[i], buffers_.layers[layer].at(offsets[i])));
    }
  }
  for (Place& place : places_) ATTNSCOPE_TRY(check(device_.await(place.uploaded)));
  if (!streamed_)
    for (DeviceBuffer& staging : buffers_.staging) staging = DeviceBuffer();
  return success();
}

Status DeviceWeights::load_norms() {
  std::vector<float> norms;
  const auto append = [&](const Tensor& tensor) {
    const std::vector<float> values = to_floats(tensor);
    norms.insert(norms.end(), values.begin(), values.end());
  };
  for (const LlamaTensors::Layer& layer : tensors_.layers) append(layer.input_norm), append(layer.post_norm);
  append(tensors_.final_norm);
  return check(device_.upload(buffers_.norms.data(), norms.data(), norms.size() * sizeof(float)));
}

/// A piece is converted while the one before travels.
Status DeviceWeights::upload(const Tensor& tensor, std::byte* to) {
  const std::size_t row_bytes = tensor.columns * size_of(compute_), rows_of_piece = std::max<std::size_t>(1, buffers_.staging[0].bytes() / row_bytes);
  for (std::size_t row = 0; row < tensor.rows; row += rows_of_piece) {
    const std::size_t rows = std::min(rows_of_piece, tensor.rows - row), at = next_staging_++ % 2;
    Place& place = places_[at];
    ATTNSCOPE_TRY(check(device_.await(place.uploaded)));
    ATTNSCOPE_TRY(convert(tensor, row, rows, buffers_.staging[at].at(0)));
    ATTNSCOPE_TRY(check(device_.upload_in(Queue::upload, to + row * row_bytes, buffers_.staging[at].data(), rows * row_bytes)));
    ATTNSCOPE_TRY(check(device_.record(place.uploaded, Queue::upload)));
  }
  return success();
}

Status DeviceWeights::convert(const Tensor& tensor, std::size_t first_row, std::size_t rows, std::byte* to) {
  const std::size_t elements = rows * tensor.columns, tasks = (elements + device_weights::kTaskElements - 1) / device_weights::kTaskElements;
  const auto* from = static_cast<const std::byte*>(tensor.row(first_row));
  std::atomic<std::size_t> overflowed{0};
  pool_.parallel_for(tasks, [&](std::size_t task, unsigned) {
    const std::size_t begin = task * device_weights::kTaskElements, count = std::min(device_weights::kTaskElements, elements - begin);
    if (tensor.dtype == compute_) {
      std::memcpy(to + begin * size_of(compute_), from + begin * size_of(compute_), count * size_of(compute_));
      return;
    }
    std::vector<float> values(count);
    to_float(tensor.dtype, from + begin * size_of(tensor.dtype), count, values.data());
    overflowed.fetch_add(from_float(compute_, values.data(), count, to + begin * size_of(compute_)), std::memory_order_relaxed);
  });
  if (overflowed == 0) return success();
  return failure("E_WEIGHTS_OVERFLOW", "tensor ", tensor.name, " holds ", overflowed.load(), " values that are too large for ", compute_ == DType::f16 ? "f16" : "bf16",
                 "; compute in another precision");
}

Status DeviceWeights::fill(std::size_t place, std::uint32_t layer) {
  const auto offsets = device_weights::offsets_of(plan_, compute_);
  const auto matrices = device_weights::matrices_of(tensors_.layers[layer]);
  places_[place].staged = none;
  for (std::size_t i = 0; i < matrices.size(); ++i) ATTNSCOPE_TRY(convert(*matrices[i], 0, matrices[i]->rows, buffers_.staging[place].at(offsets[i])));
  places_[place].staged = layer;
  return success();
}

void DeviceWeights::fill_ahead(std::size_t place, std::uint32_t layer) {
  filler_ = std::thread([this, place, layer] { filled_ = fill(place, layer); });
}

Status DeviceWeights::join() {
  if (filler_.joinable()) filler_.join();
  return std::exchange(filled_, success());
}

Status DeviceWeights::send(std::size_t at, std::uint32_t layer) {
  Place& place = places_[at];
  if (place.held == layer) return success();
  if (place.staged != layer) {
    ATTNSCOPE_TRY(check(device_.await(place.uploaded)));
    ATTNSCOPE_TRY(fill(at, layer));
  }
  ATTNSCOPE_TRY(check(device_.wait(Queue::upload, place.consumed)));
  ATTNSCOPE_TRY(check(device_.upload_in(Queue::upload, buffers_.layers[at].data(), buffers_.staging[at].data(), device_weights::offsets_of(plan_, compute_).back())));
  ATTNSCOPE_TRY(check(device_.record(place.uploaded, Queue::upload)));
  place.held = layer;
  return success();
}

Status DeviceWeights::begin_layer(std::uint32_t layer) {
  if (!streamed_) return success();
  if (begun_) ATTNSCOPE_TRY(check(device_.record(places_[current_].consumed, Queue::compute)));
  begun_ = true;
  ATTNSCOPE_TRY(join());
  current_ = 1 - current_;
  ATTNSCOPE_TRY(send(current_, layer));
  ATTNSCOPE_TRY(check(device_.wait(Queue::compute, places_[current_].uploaded)));

  const std::uint32_t next = (layer + 1) % plan_.layers, after = (layer + 2) % plan_.layers;
  ATTNSCOPE_TRY(send(1 - current_, next));
  // The pinned memory of this layer is free once it has come over; the layer after the next one's can be brought there meanwhile.
  ATTNSCOPE_TRY(check(device_.await(places_[current_].uploaded)));
  fill_ahead(current_, after);
  return success();
}

DeviceWeights::Layer DeviceWeights::layer(std::uint32_t layer) const {
  const auto offsets = device_weights::offsets_of(plan_, compute_);
  const DeviceBuffer& buffer = buffers_.layers[streamed_ ? current_ : layer];
  const auto matrix = [&](std::size_t i) -> const void* { return buffer.at(offsets[i]); };
  return {norm(2 * layer), norm(2 * layer + 1), matrix(0), matrix(1), matrix(2), matrix(3), matrix(4), matrix(5), matrix(6)};
}

}  // namespace attnscope
