#include "host/timing/captured_files.h"

#include <bit>
#include <fstream>
#include <sstream>

#include "host/failure.h"

namespace attnscope {
namespace captured_files {

static_assert(std::endian::native == std::endian::little, "vectors are read as they lie in the file");

constexpr std::uint64_t most_values = std::uint64_t{1} << 36;

Error refused(const std::string& what) { return {"E_TIMING_CAPTURED", what + "; write the folder again with attnscope time --export"}; }

Result<CapturedLayer> read_layer(const std::string& folder, const std::string& line) {
  std::istringstream words(line);
  std::string file;
  CapturedLayer layer;
  words >> file >> layer.shape.heads >> layer.shape.kv_heads >> layer.shape.head_dim >> layer.tokens >> std::ws;
  if (!words || file.find('/') != std::string::npos) return refused(folder + "/layers.txt has the line \"" + line + "\"");
  std::getline(words, layer.name);
  const std::string path = folder + "/" + file;
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return refused(path + " cannot be opened");
  const std::uint64_t row = std::uint64_t{layer.tokens} * layer.shape.head_dim, values = (layer.shape.heads + std::uint64_t{2} * layer.shape.kv_heads) * row;
  if (values > most_values || static_cast<std::uint64_t>(in.tellg()) != 4 * values) return refused(text(path, " has ", static_cast<std::uint64_t>(in.tellg()), " bytes where ", 4 * values, " belong"));
  in.seekg(0);
  for (const auto& [to, count] : {std::pair<std::vector<float>*, std::uint64_t>{&layer.q, layer.shape.heads * row}, {&layer.k, layer.shape.kv_heads * row}, {&layer.v, layer.shape.kv_heads * row}}) {
    to->resize(count);
    in.read(reinterpret_cast<char*>(to->data()), static_cast<std::streamsize>(4 * count));
  }
  return in ? Result<CapturedLayer>(std::move(layer)) : Result<CapturedLayer>(refused(path + " cannot be read to its end"));
}

}  // namespace captured_files

Result<std::vector<CapturedLayer>> read_captured_files(const std::string& folder) {
  std::ifstream list(folder + "/layers.txt");
  if (!list) return captured_files::refused(folder + " has no layers.txt");
  std::vector<CapturedLayer> layers;
  for (std::string line; std::getline(list, line);) {
    if (line.empty()) continue;
    auto layer = captured_files::read_layer(folder, line);
    if (!layer) return layer.error();
    layers.push_back(layer.take());
  }
  if (layers.empty()) return captured_files::refused(folder + "/layers.txt names no layer");
  return layers;
}

}  // namespace attnscope
