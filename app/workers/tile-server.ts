import type { Capture } from "../../data/reader/capture-types.ts";
import type { CoreEngine } from "../../native/engine.ts";
import type { Tile, TileAddress } from "../tiles/tile.ts";
import { computeTile, type YieldTask } from "./compute.ts";
import { headMarginals } from "./head-marginals.ts";
import { pairValue } from "./pair-value.ts";
import { transferables, type FromWorker, type TileApi, type TileMethod, type ToWorker } from "./protocol.ts";
import { CallServer } from "./serve-calls.ts";
import { storedTile } from "./stored.ts";
import { landmarks, tokenChunk } from "./token-text.ts";

type Call = Extract<ToWorker, { type: "call" }>;
type Result = ReturnType<TileApi[TileMethod]>;

export interface TileServerOptions {
  /** Resolves once the capture is open and the engine loaded; calls wait for it. */
  ready: Promise<{ capture: Capture; engine: CoreEngine }>;
  post(message: FromWorker, transfer: ArrayBuffer[]): void;
  yieldTask: YieldTask;
}

/** The worker without the worker: takes messages, answers through `post`. Computes one tile at a time; reads overlap. */
export class TileServer {
  private readonly calls: CallServer<Call, Result>;
  private computing: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: TileServerOptions) {
    this.calls = new CallServer<Call, Result>({
      answer: (call, signal) => this.answer(call, signal),
      done: (id, result) => options.post({ id, ok: true, result }, transferables(result)),
      failed: (id, error) => options.post({ id, ok: false, error }, []),
      code: "E_TILE_WORKER",
    });
  }

  receive(message: ToWorker): void { this.calls.receive(message); }

  private async answer(call: Call, signal: AbortSignal) {
    const { capture, engine } = await this.options.ready;
    signal.throwIfAborted();
    switch (call.method) {
      case "marginals": return headMarginals(capture, call.args.layer, call.args.head, signal);
      case "landmarks": return landmarks(capture, signal);
      case "tokens": return tokenChunk(capture, call.args.begin, call.args.end, signal);
      case "value": return pairValue(capture, engine, call.args, signal);
      case "tile": return this.tile(call.args, capture, engine, signal);
    }
  }

  private tile(address: TileAddress, capture: Capture, engine: CoreEngine, signal: AbortSignal): Promise<Tile> {
    const base = capture.levels(address.layer, address.head).at(-1)?.cell ?? Infinity;
    if (address.cell >= base) return storedTile(capture, engine, address, signal);
    return this.alone(() => computeTile(capture, engine, address, this.options.yieldTask, signal), signal);
  }

  /** Runs after every computation asked for before it; one that was aborted while waiting never starts. */
  private alone<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const turn = this.computing.then(() => { signal.throwIfAborted(); return work(); });
    this.computing = turn.catch(() => undefined);
    return turn;
  }
}
