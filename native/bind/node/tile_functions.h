// CoreEngine of native/engine.ts: tiles recomputed from stored vectors.
#pragma once
#include <napi.h>

namespace attnscope::node {

/// Adds TileJob, mergeTiles, tileCounts, attentionValue and toFloat32 to the exports.
void export_tile_functions(Napi::Env env, Napi::Object exports);

}  // namespace attnscope::node
