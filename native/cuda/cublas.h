// Matrix products by cuBLAS, which is loaded where it is installed: our own declaration of the few functions used. Included by
// cuda_device.cu alone.
#pragma once
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "multiply.h"

namespace attnscope::gpu {

class Cublas {
 public:
  /// nullptr where there is none, or where ATTNSCOPE_CUBLAS is "off". `wrong` is a sentence where ATTNSCOPE_CUBLAS names a library that
  /// cannot be used.
  static std::unique_ptr<Cublas> load(std::string& wrong) {
    auto loaded = std::unique_ptr<Cublas>(new Cublas);
    if (const char* asked = std::getenv("ATTNSCOPE_CUBLAS"); asked != nullptr && *asked != '\0') {
      if (std::strcmp(asked, "off") == 0) return nullptr;
      if (loaded->open(asked)) return loaded;
      const char* reason = dlerror();
      wrong = std::string("ATTNSCOPE_CUBLAS names a library that cannot be used: ") + (reason != nullptr ? reason : "it lacks functions of cuBLAS 11 and newer") +
              "; correct the path, or set it to off for our own kernel";
      return nullptr;
    }
    for (const std::string& candidate : candidates())
      if (loaded->open(candidate.c_str())) return loaded;
    return nullptr;
  }
  ~Cublas() {
    if (handle_ != nullptr) destroy_(handle_);
    // The library stays loaded: the driver holds on to what it registered.
  }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// "cuBLAS 13.1"
  const std::string& name() const { return name_; }

  /// Workspace that NVIDIA advises, by compute capability.
  static std::size_t workspace_bytes(std::uint32_t compute_capability) { return std::size_t{compute_capability >= 90 ? 32u : 4u} << 20; }

  /// nullptr, or what cuBLAS says.
  Outcome multiply(const MultiplyArgs& args, std::size_t workspace, cudaStream_t stream) {
    if (const Outcome wrong = check(args)) return wrong;
    if (args.rows == 0 || args.out_width == 0) return nullptr;
    if (handle_ == nullptr) {
      if (const int status = create_(&handle_)) return words_(status);
      // Partial sums of 16-bit products stay fp32.
      if (const int status = set_math_mode_(handle_, disallow_reduced_precision_reduction)) return words_(status);
    }
    // Setting the stream takes back whatever workspace was set before.
    if (const int status = set_stream_(handle_, stream)) return words_(status);
    if (args.workspace != nullptr)
      if (const int status = set_workspace_(handle_, args.workspace, workspace)) return words_(status);
    // cuBLAS counts by columns: out, [rows][out_width] by rows, is the transpose of what it computes, w times x transposed.
    const float alpha = 1, beta = args.add ? 1 : 0;
    const auto width = static_cast<int>(args.out_width), rows = static_cast<int>(args.rows), in = static_cast<int>(args.in);
    const int status = gemm_(handle_, transposed, as_it_is, width, rows, in, &alpha, args.w, type_of(args.dtype), in, args.x, type_of(args.dtype), in, &beta, args.out,
                             type_of(args.out_dtype), width, compute_fp32, default_algorithm);
    return status == 0 ? nullptr : words_(status);
  }

 private:
  // cublas_api.h
  using Handle = void*;
  static constexpr int as_it_is = 0, transposed = 1;                  // CUBLAS_OP_N, CUBLAS_OP_T
  static constexpr int compute_fp32 = 68, default_algorithm = -1;     // CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT
  static constexpr int disallow_reduced_precision_reduction = 16;     // CUBLAS_MATH_...

  Cublas() = default;

  static cudaDataType_t type_of(DType dtype) { return dtype == DType::f32 ? CUDA_R_32F : dtype == DType::f16 ? CUDA_R_16F : CUDA_R_16BF; }

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

  bool open(const char* path) {
    void* library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) return false;
    const auto find = [library](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
    };
    int major = 0, minor = 0;
    if (!find(create_, "cublasCreate_v2") || !find(destroy_, "cublasDestroy_v2") || !find(set_stream_, "cublasSetStream_v2") || !find(set_workspace_, "cublasSetWorkspace_v2") ||
        !find(set_math_mode_, "cublasSetMathMode") || !find(gemm_, "cublasGemmEx") || !find(property_, "cublasGetProperty") || !find(words_, "cublasGetStatusString") ||
        property_(MAJOR_VERSION, &major) != 0 || property_(MINOR_VERSION, &minor) != 0 || major < 11) {
      dlclose(library);
      return false;
    }
    name_ = "cuBLAS " + std::to_string(major) + "." + std::to_string(minor);
    return true;
  }

  Handle handle_ = nullptr;  // made by the first product: it takes memory of the device
  std::string name_;
  int (*create_)(Handle*) = nullptr;
  int (*destroy_)(Handle) = nullptr;
  int (*set_stream_)(Handle, cudaStream_t) = nullptr;
  int (*set_workspace_)(Handle, void*, std::size_t) = nullptr;
  int (*set_math_mode_)(Handle, int) = nullptr;
  int (*gemm_)(Handle, int, int, int, int, int, const void*, const void*, cudaDataType_t, int, const void*, cudaDataType_t, int, const void*, void*, cudaDataType_t, int, int, int) = nullptr;
  int (*property_)(libraryPropertyType, int*) = nullptr;
  const char* (*words_)(int) = nullptr;
};

}  // namespace attnscope::gpu
