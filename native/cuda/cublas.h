// Matrix products by cuBLAS, which is loaded where it is installed: our own declaration of the few functions used (cublas_api.h,
// library_types.h). Included by cuda_device.cu, and by a test that puts its own functions in their place.
#pragma once
#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "multiply.h"

namespace attnscope::gpu {

struct CublasFunctions {
  using Handle = void*;
  int (*create)(Handle*) = nullptr;
  int (*destroy)(Handle) = nullptr;
  int (*set_stream)(Handle, void* stream) = nullptr;
  int (*set_workspace)(Handle, void*, std::size_t) = nullptr;
  int (*set_math_mode)(Handle, int) = nullptr;
  int (*gemm)(Handle, int operation_a, int operation_b, int m, int n, int k, const void* alpha, const void* a, int a_type, int lda, const void* b, int b_type, int ldb, const void* beta,
              void* c, int c_type, int ldc, int compute_type, int algorithm) = nullptr;
  int (*property)(int which, int* value) = nullptr;
  const char* (*words)(int status) = nullptr;
};

class Cublas {
 public:
  explicit Cublas(const CublasFunctions& functions) : f_(functions) {
    int major = 0, minor = 0;
    f_.property(0, &major), f_.property(1, &minor);  // MAJOR_VERSION, MINOR_VERSION
    name_ = "cuBLAS " + std::to_string(major) + "." + std::to_string(minor);
  }
  ~Cublas() {
    if (handle_ != nullptr) f_.destroy(handle_);
    // The library stays loaded: the driver holds on to what it registered.
  }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// nullptr where there is none, or where ATTNSCOPE_CUBLAS is "off". `wrong` is a sentence where ATTNSCOPE_CUBLAS names a library that
  /// cannot be used.
  static std::unique_ptr<Cublas> load(std::string& wrong) {
    CublasFunctions found;
    if (const char* asked = std::getenv("ATTNSCOPE_CUBLAS"); asked != nullptr && *asked != '\0') {
      if (std::strcmp(asked, "off") == 0) return nullptr;
      if (open(asked, found)) return std::make_unique<Cublas>(found);
      const char* reason = dlerror();
      wrong = std::string("ATTNSCOPE_CUBLAS names ") + asked + ", which cannot be used: " + (reason != nullptr ? reason : "it is not cuBLAS 11 or newer") +
              "; correct the path, or set it to off for our own kernel";
      return nullptr;
    }
    for (const std::string& candidate : candidates())
      if (open(candidate.c_str(), found)) return std::make_unique<Cublas>(found);
    return nullptr;
  }

  /// "cuBLAS 13.1"
  const std::string& name() const { return name_; }

  /// Workspace that NVIDIA advises, by compute capability.
  static std::size_t workspace_bytes(std::uint32_t compute_capability) { return std::size_t{compute_capability >= 90 ? 32u : 4u} << 20; }

  /// nullptr, or what cuBLAS says.
  Outcome multiply(const MultiplyArgs& args, std::size_t workspace, void* stream) {
    if (const Outcome wrong = check(args)) return wrong;
    if (args.rows == 0 || args.out_width == 0) return nullptr;
    if (handle_ == nullptr) {
      if (const int status = f_.create(&handle_)) {
        handle_ = nullptr;
        if (status == not_initialised || status == allocation_failed)
          return "E_DEVICE_MEMORY cuBLAS finds no device memory left for itself; leave it some with --device-memory, or use --weights streamed or a shorter --context";
        return f_.words(status);
      }
      // Partial sums of 16-bit products stay fp32.
      if (const int status = f_.set_math_mode(handle_, disallow_reduced_precision_reduction)) return f_.words(status);
    }
    // Setting the stream takes back whatever workspace was set before.
    if (const int status = f_.set_stream(handle_, stream)) return f_.words(status);
    if (args.workspace != nullptr)
      if (const int status = f_.set_workspace(handle_, args.workspace, workspace)) return f_.words(status);
    // cuBLAS counts by columns: out, [rows][out_width] by rows, is the transpose of what it computes, w times x transposed.
    const float alpha = 1, beta = args.add ? 1 : 0;
    const auto width = static_cast<int>(args.out_width), rows = static_cast<int>(args.rows), in = static_cast<int>(args.in);
    const int status = f_.gemm(handle_, transposed, as_it_is, width, rows, in, &alpha, args.w, type_of(args.dtype), in, args.x, type_of(args.dtype), in, &beta, args.out,
                               type_of(args.out_dtype), width, compute_fp32, default_algorithm);
    return status == 0 ? nullptr : f_.words(status);
  }

 private:
  static constexpr int not_initialised = 1, allocation_failed = 3;  // CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_ALLOC_FAILED
  static constexpr int as_it_is = 0, transposed = 1;               // CUBLAS_OP_N, CUBLAS_OP_T
  static constexpr int compute_fp32 = 68, default_algorithm = -1;  // CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT
  static constexpr int disallow_reduced_precision_reduction = 16;  // CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
  static int type_of(DType dtype) { return dtype == DType::f32 ? 0 : dtype == DType::f16 ? 2 : 14; }  // CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF

  /// What the loader's path has, then where CUDA is installed, newest first.
  static std::vector<std::string> candidates() {
    std::vector<std::string> paths{"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    for (const char* pattern : {"/usr/local/cuda*/lib64/libcublas.so.1?", "/usr/local/cuda*/targets/*/lib/libcublas.so.1?"}) {
      glob_t found{};
      if (glob(pattern, 0, nullptr, &found) == 0)
        for (std::size_t i = found.gl_pathc; i > 0; --i) paths.emplace_back(found.gl_pathv[i - 1]);
      globfree(&found);
    }
    return paths;
  }

  /// cuBLAS needs libcublasLt, which lies beside it: found by its name once it is loaded, also where the loader's path has neither.
  static void load_other_half(std::string path) {
    const std::size_t slash = path.rfind('/'), name = path.rfind("libcublas.so");
    if (slash == path.npos || name == path.npos || name < slash) return;
    path.insert(name + std::strlen("libcublas"), "Lt");
    dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
    dlerror();  // where there is none, what is said of cuBLAS itself matters
  }

  static bool open(const char* path, CublasFunctions& found) {
    load_other_half(path);
    void* library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) return false;
    const auto find = [library](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
    };
    int major = 0;
    const bool all = find(found.create, "cublasCreate_v2") && find(found.destroy, "cublasDestroy_v2") && find(found.set_stream, "cublasSetStream_v2") &&
                     find(found.set_workspace, "cublasSetWorkspace_v2") && find(found.set_math_mode, "cublasSetMathMode") && find(found.gemm, "cublasGemmEx") &&
                     find(found.property, "cublasGetProperty") && find(found.words, "cublasGetStatusString");
    if (all && found.property(0, &major) == 0 && major >= 11) return true;
    dlclose(library);
    return false;
  }

  CublasFunctions f_;
  CublasFunctions::Handle handle_ = nullptr;  // made by the first product: it takes memory of the device
  std::string name_;
};

}  // namespace attnscope::gpu
