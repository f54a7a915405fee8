#include "host/weights.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "host/failure.h"

namespace attnscope {
namespace {

std::string spell(std::span<const std::uint64_t> shape) {
  std::string spelled = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) spelled += (i ? ", " : "") + std::to_string(shape[i]);
  return spelled + "]";
}

}  // namespace

Result<Weights> Weights::open(const Plan& plan) {
  Weights weights;
  for (const std::string& path : plan.files) {
    auto file = MappedFile::open(path);
    if (!file) return file.error();
    weights.files_.push_back(file.take());
  }
  for (const TensorPlan& tensor : plan.tensors) {
    const MappedFile& file = weights.files_[tensor.file];
    if (tensor.offset > file.size() || tensor.bytes > file.size() - tensor.offset)
      return failure("E_MODEL_TRUNCATED", file.path(), ": tensor ", tensor.name, " needs bytes ", tensor.offset, " to ",
                     tensor.offset + tensor.bytes, " but the file ends at ", file.size(), "; copy or download the file again");
    std::uint64_t elements = 1;
    for (std::uint64_t extent : tensor.shape)
      if (extent == 0 || __builtin_mul_overflow(elements, extent, &elements)) elements = 0;
    if (elements == 0 || tensor.bytes / size_of(tensor.dtype) != elements || tensor.bytes % size_of(tensor.dtype) != 0)
      return failure("E_MODEL_SHAPE", file.path(), ": tensor ", tensor.name, " has shape ", spell(tensor.shape), " but holds ",
                     tensor.bytes, " bytes; the file's header is damaged, download it again");
    weights.table_.emplace(tensor.name, tensor);
  }
  return weights;
}

Result<Tensor> Weights::find(const std::string& name, std::span<const std::uint64_t> shape) const {
  const auto found = table_.find(name);
  if (found == table_.end())
    return failure("E_MODEL_TENSOR_MISSING", "the checkpoint holds no tensor ", name,
                   "; check that every shard is there and that config.json belongs to these weights");
  const TensorPlan& plan = found->second;
  if (!std::equal(plan.shape.begin(), plan.shape.end(), shape.begin(), shape.end()))
    return failure("E_MODEL_SHAPE", files_[plan.file].path(), ": tensor ", name, " has shape ", spell(plan.shape), ", wanted ",
                   spell(shape), "; config.json does not belong to these weights");
  const std::uint8_t* data = files_[plan.file].data() + plan.offset;
  return Tensor{name, plan.dtype, data, shape.size() == 2 ? shape[0] : 1, shape.back()};
}

namespace {

/// An exponent of all ones is infinity or NaN. Adding one exponent step carries into the sign bit exactly then, which
/// the compiler turns into vector code.
std::uint32_t carry(float value) { return (std::bit_cast<std::uint32_t>(value) & 0x7fffffffu) + 0x00800000u; }

}  // namespace

bool all_finite(std::span<const float> values) {
  std::uint32_t carried = 0;
  for (float value : values) carried |= carry(value);
  return (carried & 0x80000000u) == 0;
}

std::size_t non_finite(std::span<const float> values) {
  std::size_t count = 0;
  for (float value : values) count += carry(value) >> 31;
  return count;
}

bool all_finite(const Tensor& tensor) {
  std::vector<float> row(tensor.columns);
  for (std::size_t i = 0; i < tensor.rows; ++i) {
    to_float(tensor.dtype, tensor.row(i), tensor.columns, row.data());
    if (!all_finite(row)) return false;
  }
  return true;
}

std::vector<float> to_floats(const Tensor& tensor) {
  std::vector<float> values(tensor.rows * tensor.columns);
  to_float(tensor.dtype, tensor.data, values.size(), values.data());
  return values;
}

}  // namespace attnscope
