import type { Capture } from "../../data/reader/capture-types.ts";
import { AttnscopeError } from "../../data/errors.ts";
import { NativeError, type CoreEngine } from "../../native/engine.ts";
import type { Tile, TileAddress } from "../tiles/tile.ts";
import { computeTile, type YieldTask } from "./compute.ts";
import { headMarginals } from "./head-marginals.ts";
import { pairValue } from "./pair-value.ts";
import { transferables, type FromWorker, type ToWorker } from "./protocol.ts";
import { storedTile } from "./stored.ts";
import { landmarks, tokenChunk } from "./token-text.ts";

type Call = Extract<ToWorker, { type: "call" }>;

export interface TileServerOptions {
  /** Resolves once the capture is open and the engine loaded; calls wait for it. */
  ready: Promise<{ capture: Capture; engine: CoreEngine }>;
  post(message: FromWorker, transfer: ArrayBuffer[]): void;
  yieldTask: YieldTask;
}

/** The worker without the worker: takes messages, answers through `post`. Computes one tile at a time; reads overlap. */
export class TileServer {
  private readonly running = new Map<number, AbortController>();
  private computing: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: TileServerOptions) {}

  receive(message: ToWorker): void {
    if (message.type === "abort") this.running.get(message.id)?.abort();
    else void this.call(message);
  }

  private async call(message: Call): Promise<void> {
    const controller = new AbortController();
    this.running.set(message.id, controller);
    try {
      const result = await this.answer(message, controller.signal);
      this.options.post({ id: message.id, ok: true, result }, transferables(result));
    } catch (error) {
      this.options.post({ id: message.id, ok: false, error: describe(error) }, []);
    } finally {
      this.running.delete(message.id);
    }
  }

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

function describe(error: unknown): { name: string; code: string; message: string } {
  if (error instanceof AttnscopeError || error instanceof NativeError) return { name: error.name, code: error.code, message: error.message };
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return { name, code: name === "AbortError" ? "E_ABORTED" : "E_TILE_WORKER", message };
}
