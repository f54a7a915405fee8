import { AttnscopeError } from "../../data/errors.ts";
import { NativeError } from "../../native/engine.ts";

interface Failure { name: string; code: string; message: string }
type Message<Call> = Call | { type: "abort"; id: number };

export interface CallHandlers<Call, Result> {
  answer(call: Call, signal: AbortSignal): Promise<Result>;
  done(id: number, result: Result): void;
  failed(id: number, error: Failure): void;
  /** Code of a fault that nobody foresaw. */
  code: string;
}

/** A worker's end of the calls: answers each, aborts those that are no longer wanted, puts faults into words. */
export class CallServer<Call extends { type: "call"; id: number }, Result> {
  private readonly running = new Map<number, AbortController>();

  constructor(private readonly handlers: CallHandlers<Call, Result>) {}

  receive(message: Message<Call>): void {
    if (message.type === "abort") this.running.get(message.id)?.abort();
    else void this.call(message);
  }

  private async call(message: Call): Promise<void> {
    const controller = new AbortController();
    this.running.set(message.id, controller);
    try {
      this.handlers.done(message.id, await this.handlers.answer(message, controller.signal));
    } catch (error) {
      this.handlers.failed(message.id, describe(error, this.handlers.code));
    } finally {
      this.running.delete(message.id);
    }
  }
}

function describe(error: unknown, unforeseen: string): Failure {
  if (error instanceof AttnscopeError || error instanceof NativeError) return { name: error.name, code: error.code, message: error.message };
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return { name, code: name === "AbortError" ? "E_ABORTED" : unforeseen, message };
}
