import type { YieldTask } from "./compute.ts";

/** A turn of the event loop without setTimeout's 4 ms: messages that wait are handled before the next block. */
export function taskYielder(): YieldTask {
  const channel = new MessageChannel();
  const turns: (() => void)[] = [];
  channel.port1.addEventListener("message", () => turns.shift()?.());
  channel.port1.start();
  return () => new Promise((resolve) => {
    turns.push(resolve);
    channel.port2.postMessage(null);
  });
}
