#include "bind/node/tile_functions.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "bind/node/object_reader.h"
#include "core/tile.h"

namespace attnscope::node {
namespace {

constexpr const char* kInvalid = "E_TILE_INVALID";
constexpr std::uint32_t kLargestEdge = 4096;

TileGrid read_grid(Napi::Value value) {
  const ObjectReader from(value, "grid", kInvalid);
  TileGrid grid{from.u32("edge"), from.u32("cell"), from.u32("row0"), from.u32("column0")};
  if (grid.edge == 0 || grid.edge > kLargestEdge) from.refuse("edge", "a whole number from 1 to 4096");
  if (grid.cell == 0) from.refuse("cell", "at least 1");
  return grid;
}

float read_float(const Napi::CallbackInfo& info, std::size_t i, const char* name) {
  if (!info[i].IsNumber()) raise(info.Env(), kInvalid, std::string(name) + " is not a number");
  return info[i].As<Napi::Number>().FloatValue();
}

std::uint32_t read_u32(const Napi::CallbackInfo& info, std::size_t i, const char* name) {
  const double value = info[i].IsNumber() ? info[i].As<Napi::Number>().DoubleValue() : -1;
  if (!(value >= 0 && value <= 4294967295.0)) raise(info.Env(), kInvalid, std::string(name) + " is not a whole number of at least 0");
  return static_cast<std::uint32_t>(value);
}

template <class Array>
Array read_array(Napi::Value value, napi_typedarray_type type, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    raise(value.Env(), kInvalid, name + " is not a typed array of the right type");
  return value.As<Array>();
}

/// Stored vectors: Float32Array for f32, Uint16Array for f16 and bf16.
struct VectorData {
  const void* data;
  std::size_t elements;
};
VectorData read_vectors(Napi::Value value, DType dtype, const std::string& name) {
  if (dtype == DType::f32) {
    const auto array = read_array<Napi::Float32Array>(value, napi_float32_array, name);
    return {array.Data(), array.ElementLength()};
  }
  const auto array = read_array<Napi::Uint16Array>(value, napi_uint16_array, name);
  return {array.Data(), array.ElementLength()};
}

DType read_dtype(const Napi::CallbackInfo& info, std::size_t i) {
  DType dtype;
  if (!info[i].IsString() || !parse_dtype(info[i].As<Napi::String>(), dtype)) raise(info.Env(), kInvalid, "dtype is not f32, f16 or bf16");
  return dtype;
}

struct VectorBlock {
  DType dtype;
  const void* data;
  std::uint32_t dim, first, count;
};
VectorBlock read_block(Napi::Value value, const char* name) {
  const ObjectReader from(value, name, kInvalid);
  VectorBlock block{from.dtype("dtype"), nullptr, from.u32("dim"), from.u32("first"), from.u32("count")};
  const VectorData vectors = read_vectors(value.As<Napi::Object>().Get("data"), block.dtype, std::string(name) + ".data");
  if (vectors.elements != std::size_t(block.dim) * block.count) from.refuse("data", "count x dim values long");
  block.data = vectors.data;
  return block;
}

struct TileValues {
  std::vector<float> mean, max;
  std::vector<std::uint32_t> count;

  explicit TileValues(std::size_t cells) : mean(cells), max(cells), count(cells) {}

  static TileValues read(Napi::Value value, const char* name) {
    const ObjectReader from(value, name, kInvalid);
    const Napi::Object object = value.As<Napi::Object>();
    const std::string prefix = std::string(name) + ".";
    const auto mean = read_array<Napi::Float32Array>(object.Get("mean"), napi_float32_array, prefix + "mean");
    const auto max = read_array<Napi::Float32Array>(object.Get("max"), napi_float32_array, prefix + "max");
    const auto count = read_array<Napi::Uint32Array>(object.Get("count"), napi_uint32_array, prefix + "count");
    if (max.ElementLength() != mean.ElementLength() || count.ElementLength() != mean.ElementLength()) from.refuse("max", "as long as mean and count");
    TileValues tile(mean.ElementLength());
    std::copy_n(mean.Data(), mean.ElementLength(), tile.mean.data());
    std::copy_n(max.Data(), max.ElementLength(), tile.max.data());
    std::copy_n(count.Data(), count.ElementLength(), tile.count.data());
    return tile;
  }

  Napi::Value to_js(Napi::Env env) const {
    auto mean_array = Napi::Float32Array::New(env, mean.size()), max_array = Napi::Float32Array::New(env, max.size());
    auto count_array = Napi::Uint32Array::New(env, count.size());
    std::copy(mean.begin(), mean.end(), mean_array.Data());
    std::copy(max.begin(), max.end(), max_array.Data());
    std::copy(count.begin(), count.end(), count_array.Data());
    Napi::Object object = Napi::Object::New(env);
    object.Set("mean", mean_array);
    object.Set("max", max_array);
    object.Set("count", count_array);
    return object;
  }
};

class TileJob : public Napi::ObjectWrap<TileJob> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TileJob", {InstanceMethod<&TileJob::add>("add"), InstanceMethod<&TileJob::finish>("finish"),
                                        InstanceMethod<&TileJob::free>("free")});
  }

  /// new TileJob(grid, scale, window)
  explicit TileJob(const Napi::CallbackInfo& info)
      : ObjectWrap(info), grid_(read_grid(info[0])), scale_(read_float(info, 1, "scale")),
        visibility_{read_u32(info, 2, "window")}, tile_(std::size_t(grid_.edge) * grid_.edge) {}

 private:
  void add(const Napi::CallbackInfo& info) {
    check_open(info.Env());
    const VectorBlock queries = read_block(info[0], "queries"), keys = read_block(info[1], "keys");
    const auto lse = read_array<Napi::Float32Array>(info[2], napi_float32_array, "lse");
    if (queries.dtype != keys.dtype || queries.dim != keys.dim) raise(info.Env(), kInvalid, "queries and keys differ in dtype or dim");
    if (lse.ElementLength() != queries.count) raise(info.Env(), kInvalid, "lse does not hold one value a query");
    tile_accumulate(grid_, queries.dtype, queries.data, queries.first, queries.count, keys.data, keys.first, keys.count, queries.dim,
                    {lse.Data(), lse.ElementLength()}, scale_, visibility_, tile_.mean, tile_.max, tile_.count);
  }

  Napi::Value finish(const Napi::CallbackInfo& info) {
    check_open(info.Env());
    tile_finish(tile_.mean, tile_.max, tile_.count);
    const Napi::Value values = tile_.to_js(info.Env());
    release();
    return values;
  }

  void free(const Napi::CallbackInfo&) { release(); }

  void release() {
    tile_ = TileValues(0);
    open_ = false;
  }
  void check_open(Napi::Env env) const {
    if (!open_) raise(env, kInvalid, "the tile was finished or freed before");
  }

  TileGrid grid_;
  float scale_;
  Visibility visibility_;
  TileValues tile_;  // mean holds sums until finish
  bool open_ = true;
};

Napi::Value merge_tiles(const Napi::CallbackInfo& info) {
  TileValues a = TileValues::read(info[0], "a");
  const TileValues b = TileValues::read(info[1], "b");
  if (a.mean.size() != b.mean.size()) raise(info.Env(), kInvalid, "the tiles to merge differ in size");
  tile_merge(a.mean, a.max, a.count, b.mean, b.max, b.count);
  return a.to_js(info.Env());
}

/// tileCounts(grid, rowBegin, rowEnd, window)
Napi::Value counts(const Napi::CallbackInfo& info) {
  const TileGrid grid = read_grid(info[0]);
  const TokenRange rows{read_u32(info, 1, "rowBegin"), read_u32(info, 2, "rowEnd")};
  if (rows.begin > rows.end) raise(info.Env(), kInvalid, "rowBegin is past rowEnd");
  auto result = Napi::Uint32Array::New(info.Env(), std::size_t(grid.edge) * grid.edge);
  tile_counts(grid, rows, Visibility{read_u32(info, 3, "window")}, {result.Data(), result.ElementLength()});
  return result;
}

/// attentionValue(dtype, q, k, scale, lse)
Napi::Value value_of(const Napi::CallbackInfo& info) {
  const DType dtype = read_dtype(info, 0);
  const VectorData q = read_vectors(info[1], dtype, "q"), k = read_vectors(info[2], dtype, "k");
  if (q.elements != k.elements) raise(info.Env(), kInvalid, "q and k differ in length");
  return Napi::Number::New(info.Env(), attention_value(dtype, q.data, k.data, static_cast<std::uint32_t>(q.elements),
                                                       read_float(info, 3, "scale"), read_float(info, 4, "lse")));
}

/// toFloat32(dtype, data)
Napi::Value floats(const Napi::CallbackInfo& info) {
  const DType dtype = read_dtype(info, 0);
  const VectorData vectors = read_vectors(info[1], dtype, "data");
  auto result = Napi::Float32Array::New(info.Env(), vectors.elements);
  to_float(dtype, vectors.data, vectors.elements, result.Data());
  return result;
}

}  // namespace

void export_tile_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("TileJob", TileJob::define(env));
  exports.Set("mergeTiles", Napi::Function::New<merge_tiles>(env));
  exports.Set("tileCounts", Napi::Function::New<counts>(env));
  exports.Set("attentionValue", Napi::Function::New<value_of>(env));
  exports.Set("toFloat32", Napi::Function::New<floats>(env));
}

}  // namespace attnscope::node
