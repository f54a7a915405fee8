#include "bind/node/object_reader.h"

#include <cmath>

namespace attnscope::node {

bool parse_dtype(const std::string& name, DType& dtype) {
  if (name == "f32") dtype = DType::f32;
  else if (name == "f16") dtype = DType::f16;
  else if (name == "bf16") dtype = DType::bf16;
  else return false;
  return true;
}

ObjectReader::ObjectReader(Napi::Value value, std::string path, std::string code) : path_(std::move(path)), code_(std::move(code)) {
  if (!value.IsObject()) raise(value.Env(), code_, (path_.empty() ? std::string("the argument") : "plan field " + path_) + " is not an object");
  object_ = value.As<Napi::Object>();
}

void ObjectReader::refuse(const std::string& field, const std::string& wanted) const {
  raise(object_.Env(), code_, "plan field " + name(field) + " is not " + wanted);
}

ObjectReader ObjectReader::object(const char* field) const { return {object_.Get(field), name(field), code_}; }

Napi::Array ObjectReader::array(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsArray()) refuse(field, "an array");
  return value.As<Napi::Array>();
}

std::string ObjectReader::string(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsString()) refuse(field, "a string");
  return value.As<Napi::String>();
}

bool ObjectReader::boolean(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsBoolean()) refuse(field, "true or false");
  return value.As<Napi::Boolean>();
}

double ObjectReader::number(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsNumber() || !std::isfinite(value.As<Napi::Number>().DoubleValue())) refuse(field, "a finite number");
  return value.As<Napi::Number>().DoubleValue();
}

std::uint64_t ObjectReader::count(const char* field, std::uint64_t most) const {
  const Napi::Value value = object_.Get(field);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= double(most)) || number != std::floor(number))
    refuse(field, "a whole number from 0 to " + std::to_string(most));
  return static_cast<std::uint64_t>(number);
}

DType ObjectReader::dtype(const char* field) const {
  DType dtype;
  if (!parse_dtype(string(field), dtype)) refuse(field, "f32, f16 or bf16");
  return dtype;
}

std::vector<std::uint32_t> ObjectReader::u32_array(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) refuse(field, "a Uint32Array");
  const auto array = value.As<Napi::Uint32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::vector<std::uint8_t> ObjectReader::u8_array(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) refuse(field, "a Uint8Array");
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::vector<std::int32_t> ObjectReader::i32_array(const char* field) const {
  const Napi::Value value = object_.Get(field);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) refuse(field, "an Int32Array");
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

}  // namespace attnscope::node
