// out = in . W^T with W as stored in the checkpoint: [out features][in features] in f32, f16 or bf16. Accumulates in fp32.
#pragma once
#include <vector>

#include "core/views.h"
#include "host/thread_pool.h"
#include "host/weights.h"

namespace attnscope {

class MatMul {
 public:
  explicit MatMul(ThreadPool& pool);

  /// out[i][o] = sum_k in[i][k] W[o][k]. in.count == out.count; in.dim == W.columns; out.dim == W.rows.
  /// The result does not depend on the number of threads.
  void multiply(Rows in, const Tensor& weight, MutableRows out);

  /// Which implementation runs: "own kernel" or the library's name.
  static const char* library();

 private:
  void multiply_blocks(Rows in, const Tensor& weight, MutableRows out);
  void multiply_few_rows(Rows in, const Tensor& weight, MutableRows out);

  ThreadPool& pool_;
  std::vector<std::vector<float>> scratch_;  // by worker
};

}  // namespace attnscope
