import type { PolicyClient } from "./client.ts";
import type { ReplayRequest } from "./protocol.ts";
import { AnswerCache, Slot, type SlotState } from "./slot.ts";

/** The four rows' evaluations of one capture; views subscribe, the workbench states what is to be shown. */
export class PolicyStore {
  private readonly listeners = new Set<() => void>();
  private readonly answers = new AnswerCache();
  private readonly slots: readonly Slot[];
  private snapshot: readonly SlotState[];

  constructor(readonly client: PolicyClient) {
    this.slots = [0, 1, 2, 3].map(() => new Slot(client, this.answers, () => this.announce()));
    this.snapshot = this.slots.map((slot) => slot.state);
  }

  readonly get = (): readonly SlotState[] => this.snapshot;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** What each row is to show; null where there is no policy. Cheap where nothing changed. */
  show(requests: readonly (ReplayRequest | null)[]): void {
    for (const [i, slot] of this.slots.entries()) slot.show(requests[i] ?? null);
  }

  stop(): void {
    for (const slot of this.slots) slot.stop();
  }

  private announce(): void {
    this.snapshot = this.slots.map((slot) => slot.state);
    for (const listener of this.listeners) listener();
  }
}
