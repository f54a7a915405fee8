#include "host/matmul.h"

#include <algorithm>

#include "host/matmul_kernel.h"

#ifdef ATTNSCOPE_OPENBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int);
#endif

namespace attnscope {
namespace {

// The partition is fixed: a task is 64 output columns by 252 rows (42 micro-tiles). Its weights are packed once and
// reused by every row tile, so converting bf16 costs about a tenth of the arithmetic.
constexpr std::size_t kTaskColumns = 64;
constexpr std::size_t kTaskRows = 252;
// Up to this many rows, streaming the weights once costs more than the arithmetic: dot products instead of panels.
constexpr std::size_t kFewRows = 3;
constexpr std::size_t kDotDepth = 1024;

std::size_t blocks(std::size_t n, std::size_t block) { return (n + block - 1) / block; }

}  // namespace

MatMul::MatMul(ThreadPool& pool) : pool_(pool), scratch_(pool.threads()) {
#ifdef ATTNSCOPE_OPENBLAS
  openblas_set_num_threads(1);  // the tasks are spread over our own threads
#endif
}

const char* MatMul::library() {
#ifdef ATTNSCOPE_OPENBLAS
  return "OpenBLAS";
#else
  return "own kernel";
#endif
}

void MatMul::multiply(Rows in, const Tensor& weight, MutableRows out) {
  if (in.count <= kFewRows) multiply_few_rows(in, weight, out);
  else multiply_blocks(in, weight, out);
}

void MatMul::multiply_blocks(Rows in, const Tensor& weight, MutableRows out) {
  const std::size_t row_blocks = blocks(in.count, kTaskRows);
  pool_.parallel_for(blocks(weight.rows, kTaskColumns) * row_blocks, [&](std::size_t task, unsigned worker) {
    const std::size_t row = task % row_blocks * kTaskRows, column = task / row_blocks * kTaskColumns;
    const Rows block = in.slice(row, std::min(kTaskRows, in.count - row));
    const MutableRows target = out.slice(row, block.count);
    const std::size_t columns = std::min(kTaskColumns, weight.rows - column);
    std::vector<float>& scratch = scratch_[worker];
#ifdef ATTNSCOPE_OPENBLAS
    const std::size_t depth = weight.columns;
    scratch.resize(std::max(scratch.size(), kTaskColumns * depth));
    to_float(weight.dtype, weight.row(column), columns * depth, scratch.data());
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(block.count), int(columns), int(depth), 1.f, block.data,
                int(block.stride), scratch.data(), int(depth), 0.f, target.data + column, int(target.stride));
#else
    using namespace kernel;
    scratch.resize(std::max(scratch.size(), (kTaskColumns + kPanel) * kDepth));
    float* panels = scratch.data();
    float* staging = panels + kTaskColumns * kDepth;
    const void* rows[kTaskColumns];
    for (std::size_t i = 0; i < columns; ++i) rows[i] = weight.row(column + i);
    for (std::size_t k = 0; k < weight.columns; k += kDepth) {
      const std::size_t depth = std::min(kDepth, weight.columns - k);
      pack_panels(weight.dtype, rows, columns, k, depth, staging, panels);
      for (std::size_t c = 0; c < columns; c += kPanel)
        multiply_panel(block, k, depth, panels + c * depth, std::min(kPanel, columns - c), k != 0, target, column + c);
    }
#endif
  });
}

void MatMul::multiply_few_rows(Rows in, const Tensor& weight, MutableRows out) {
  pool_.parallel_for(blocks(weight.rows, kTaskColumns), [&](std::size_t task, unsigned worker) {
    std::vector<float>& scratch = scratch_[worker];
    scratch.resize(std::max(scratch.size(), kDotDepth));
    const std::size_t begin = task * kTaskColumns, end = std::min(begin + kTaskColumns, weight.rows);
    for (std::size_t o = begin; o < end; ++o) {
      float sum[kFewRows] = {};
      for (std::size_t k = 0; k < weight.columns; k += kDotDepth) {
        const std::size_t depth = std::min(kDotDepth, weight.columns - k);
        const char* source = static_cast<const char*>(weight.row(o)) + k * size_of(weight.dtype);
        to_float(weight.dtype, source, depth, scratch.data());
        for (std::size_t i = 0; i < in.count; ++i) sum[i] += kernel::dot(in.row(i) + k, scratch.data(), depth);
      }
      for (std::size_t i = 0; i < in.count; ++i) out.row(i)[o] = sum[i];
    }
  });
}

}  // namespace attnscope
