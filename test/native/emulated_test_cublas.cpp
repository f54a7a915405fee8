// What is asked of cuBLAS, with functions in its place that do what its manual says: column-major matrices, leading dimensions,
// operations, types. The library itself runs on a GPU only.
#include <cstdlib>

#include "cuda/cublas.h"
#include "emulated_inputs.h"

using namespace attnscope;
using gpu::Cublas;
using gpu::CublasFunctions;

namespace {

int stream, handles = 0, math_mode = -1, answer = 0;
void *stream_set = nullptr, *workspace_set = nullptr;
std::size_t workspace_size = 0;

DType dtype_of(int type) { return type == 0 ? DType::f32 : type == 2 ? DType::f16 : DType::bf16; }
float element(const void* data, int type, std::size_t i) {
  float value;
  to_float(dtype_of(type), static_cast<const std::byte*>(data) + i * size_of(dtype_of(type)), 1, &value);
  return value;
}

/// C(i, j) = alpha sum over l of op(A)(i, l) op(B)(l, j) + beta C(i, j), element (i, j) of a matrix at i + j ld.
int gemm(void*, int operation_a, int operation_b, int m, int n, int k, const void* alpha, const void* a, int a_type, int lda, const void* b, int b_type, int ldb, const void* beta, void* c,
         int c_type, int ldc, int compute_type, int algorithm) {
  CHECK_EQUAL(compute_type, 68);
  CHECK_EQUAL(algorithm, -1);
  CHECK_EQUAL(a_type, b_type);
  CHECK(stream_set == &stream);
  CHECK(lda >= (operation_a == 0 ? m : k) && ldb >= (operation_b == 0 ? k : n) && ldc >= m);  // otherwise CUBLAS_STATUS_INVALID_VALUE
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int l = 0; l < k; ++l) sum += element(a, a_type, operation_a == 0 ? i + std::size_t{1} * l * lda : l + std::size_t{1} * i * lda) * element(b, b_type, operation_b == 0 ? l + std::size_t{1} * j * ldb : j + std::size_t{1} * l * ldb);
      sum *= *static_cast<const float*>(alpha);
      const std::size_t at = i + std::size_t{1} * j * ldc;
      if (const float factor = *static_cast<const float*>(beta); factor != 0) sum += factor * element(c, c_type, at);
      from_float(dtype_of(c_type), &sum, 1, static_cast<std::byte*>(c) + at * size_of(dtype_of(c_type)));
    }
  return answer;
}

CublasFunctions functions() {
  CublasFunctions f;
  f.create = [](void** handle) {
    *handle = &handles;
    ++handles;
    return 0;
  };
  f.destroy = [](void* handle) {
    CHECK(handle == &handles);
    --handles;
    return 0;
  };
  f.set_stream = [](void*, void* to) {
    stream_set = to, workspace_set = nullptr;
    return 0;
  };
  f.set_workspace = [](void*, void* memory, std::size_t bytes) {
    workspace_set = memory, workspace_size = bytes;
    return 0;
  };
  f.set_math_mode = [](void*, int mode) {
    math_mode = mode;
    return 0;
  };
  f.gemm = gemm;
  f.property = [](int which, int* value) {
    *value = which == 0 ? 13 : which == 1 ? 1 : 99;
    return 0;
  };
  f.words = [](int status) { return status == 14 ? "CUBLAS_STATUS_INTERNAL_ERROR" : "?"; };
  return f;
}

}  // namespace

TEST("a product as cuBLAS counts it is the product asked for, onto and over what is there, in 16 bits and 32") {
  {
    Cublas cublas(functions());
    CHECK(cublas.name() == "cuBLAS 13.1");
    CHECK_EQUAL(handles, 0);  // until it is needed
    constexpr std::uint32_t rows = 5, in = 7, width = 3;
    std::mt19937 random(1);
    for (const DType dtype : {DType::f16, DType::bf16})
      for (const int way : {0, 1, 2}) {
        const DType out_dtype = way == 2 ? dtype : DType::f32;
        Vectors x(random, dtype, 1, rows, in), w(random, dtype, 1, width, in);
        Poisoned<std::byte> out(rows * width * size_of(out_dtype));
        const std::vector<float> before(rows * width, 10);
        from_float(out_dtype, before.data(), before.size(), out.data());
        int memory;
        MultiplyArgs args{dtype, out_dtype, way == 1, rows, in, width, x.tensor().data, w.tensor().data, out.data(), way == 0 ? nullptr : &memory};
        accept(cublas.multiply(args, 77, &stream));
        CHECK(workspace_set == args.workspace);  // and the one before is not used any more
        CHECK_EQUAL(workspace_size, way == 0 ? workspace_size : 77);
        for (std::uint32_t i = 0; i < rows; ++i)
          for (std::uint32_t o = 0; o < width; ++o)
            CHECK_NEAR(element(out.data(), out_dtype == DType::f32 ? 0 : dtype == DType::f16 ? 2 : 14, i * width + o), dot(x.row(0, i), w.row(0, o), in) + (way == 1 ? 10 : 0),
                       out_dtype == DType::f32 ? 1e-6 : 0x1p-8, 2e-6);
      }
    CHECK_EQUAL(handles, 1);
    CHECK_EQUAL(math_mode, 16);
    answer = 14;
    float one[1] = {};
    MultiplyArgs args{DType::f16, DType::f32, false, 1, 1, 1, one, one, one, nullptr};
    const Outcome failed = cublas.multiply(args, 0, &stream);
    CHECK(failed != nullptr && std::strcmp(failed, "CUBLAS_STATUS_INTERNAL_ERROR") == 0);
    args.rows = 0;
    CHECK(cublas.multiply(args, 0, &stream) == nullptr);
    args.dtype = DType::f32;
    CHECK(cublas.multiply(args, 0, &stream) != nullptr);
  }
  CHECK_EQUAL(handles, 0);
}

TEST("no memory for cuBLAS itself is said as such, and it may be tried again") {
  static int created;
  created = 3;  // CUBLAS_STATUS_ALLOC_FAILED
  CublasFunctions f = functions();
  f.create = [](void** handle) {
    *handle = created == 0 ? &handles : &stream;
    handles += created == 0;
    return created;
  };
  f.gemm = [](void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int, const void*, void*, int, int, int, int) { return 0; };
  {
    Cublas cublas(f);
    MultiplyArgs args;
    args.dtype = DType::bf16, args.rows = args.in = args.out_width = 1;
    const Outcome refused = cublas.multiply(args, 0, &stream);
    CHECK(refused != nullptr && std::string_view(refused).starts_with("E_DEVICE_MEMORY cuBLAS"));
    created = 0;
    CHECK(cublas.multiply(args, 0, &stream) == nullptr);
    CHECK_EQUAL(handles, 1);
  }
  CHECK_EQUAL(handles, 0);
}

TEST("ATTNSCOPE_CUBLAS: off is none, a library that is not there or is none of cuBLAS is said") {
  std::string wrong;
  setenv("ATTNSCOPE_CUBLAS", "off", 1);
  CHECK(Cublas::load(wrong) == nullptr && wrong.empty());
  setenv("ATTNSCOPE_CUBLAS", "/nowhere/libcublas.so.13", 1);
  CHECK(Cublas::load(wrong) == nullptr && wrong.find("/nowhere/libcublas.so.13") != std::string::npos);
  setenv("ATTNSCOPE_CUBLAS", "libm.so.6", 1);
  wrong.clear();
  CHECK(Cublas::load(wrong) == nullptr && wrong.find("ATTNSCOPE_CUBLAS") == 0);
  unsetenv("ATTNSCOPE_CUBLAS");
}
