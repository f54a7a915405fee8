import type { ViewState } from "./view-state.ts";

/** Where a key of the view is kept: in the link, in this browser tab, or nowhere. */
export type Persistence = "url" | "session" | "never";

/** A key that is missing here does not compile. */
export const PERSIST = {
  page: "url",
  layer: "url",
  head: "url",
  window: "url",
  pooling: "url",
  colour: "url",
  metric: "url",
  sort: "url",
  rowMarginal: "url",
  gridView: "url",
  kvTensor: "url",
  channelStat: "url",
  kvTokens: "url",
  rail: "url",
  policies: "url",
  activePolicy: "url",
  policyPanel: "url",
  rowsMode: "url",
  context: "url",
  chunk: "url",
  panes: "url",
  locks: "url",
  layer2: "url",
  head2: "url",
  window2: "url",
  colour2: "url",
  panePolicy: "url",
  compare: "url",
  blinkSide: "url",
  drawer: "url",
  drawerHeight: "url",
  chartLoss: "url",
  chartCost: "url",
  generated: "url",
  requestCost: "url",
  device: "url",
  timingGroup: "url",
  timingScope: "url",
  timingShape: "url",
  timingDtype: "url",
  timingBatching: "url",
  timingLength: "url",
  timingSeries: "url",
  timingView: "url",
  roofline: "url",
  memory: "url",
  memoryFit: "url",
  memoryPinned: "url",
  memoryWindow: "url",
  memoryCursor: "url",
  memoryBlocks: "url",
  // The reader of a link chooses light or dark, not its author.
  theme: "session",
} as const satisfies Record<keyof ViewState, Persistence>;

type KeysKept<P extends Persistence> = { [K in keyof ViewState]: (typeof PERSIST)[K] extends P ? K : never }[keyof ViewState];

export type UrlKey = KeysKept<"url">;
export type SessionKey = KeysKept<"session">;

export const SESSION_KEYS = (Object.keys(PERSIST) as (keyof ViewState)[]).filter((key): key is SessionKey => PERSIST[key] === "session");
export const URL_KEYS = (Object.keys(PERSIST) as (keyof ViewState)[]).filter((key): key is UrlKey => PERSIST[key] === "url");
