// The model's tensors: memory-mapped files and a table of names into them, checked before first use.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "host/mapped_file.h"
#include "host/plan.h"

namespace attnscope {

/// A matrix [rows][columns] (a vector has one row) in its storage type, inside a mapped file.
struct Tensor {
  std::string name;
  DType dtype = DType::f32;
  const std::uint8_t* data = nullptr;
  std::size_t rows = 0, columns = 0;
  const void* row(std::size_t i) const { return data + i * columns * size_of(dtype); }
};

class Weights {
 public:
  /// Maps the plan's files and checks that every tensor lies inside its file and is as long as its shape says.
  static Result<Weights> open(const Plan& plan);

  /// The tensor `name`, whose shape must be exactly `shape` (one or two dimensions).
  Result<Tensor> find(const std::string& name, std::span<const std::uint64_t> shape) const;

 private:
  std::vector<MappedFile> files_;
  std::map<std::string, TensorPlan> table_;
};

/// Whether every element is a finite number.
bool all_finite(const Tensor& tensor);
bool all_finite(std::span<const float> values);

/// How many are NaN or infinite.
std::size_t non_finite(std::span<const float> values);

/// A tensor's elements as float32.
std::vector<float> to_floats(const Tensor& tensor);

}  // namespace attnscope
