import { group } from "d3-array";
import { HARDWARE, hardwareOf, type Hardware } from "../../data/hardware.ts";
import { DEVICE_CHARACTERS } from "../state/schema.ts";
import type { TimingRow } from "../../data/format/timings.ts";

/** One device, whoever measured on it and under which driver: what the picker offers. Peers name their own builds and runtimes as drivers. */
export interface TimedDevice {
  /** Short name for links. */
  id: string;
  name: string;
  /** Of attnscope's rows first, then peers', each the latest first. */
  drivers: readonly string[];
  gpu: boolean;
  /** Who measured: attnscope itself first, then peers by name. */
  sources: readonly string[];
  /** ISO days, first and last. */
  dates: readonly [string, string];
  /** Empty where nothing was measured and only the data sheet is known. */
  rows: readonly TimingRow[];
  hardware: Hardware | null;
}

/** "Intel(R) Xeon(R) CPU @ 2.10GHz" as "intel-xeon-cpu-2-10ghz". */
export function deviceId(name: string): string {
  return name.toLowerCase().replaceAll(/\((r|tm|c)\)/g, "").replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-+/g, "").slice(0, DEVICE_CHARACTERS).replaceAll(/-+$/g, "");
}

export const isOwn = (source: string): boolean => source.startsWith("attnscope");
/** Zero threads stand for a GPU. */
export const onGpu = ({ threads }: Pick<TimingRow, "threads">): boolean => threads === 0;

/** Devices of all tables together, those with a GPU first, then those with most rows; last those of which only the data sheet is known. */
export function devicesOf(rows: readonly TimingRow[]): TimedDevice[] {
  const grouped = group(rows, ({ device }) => device);
  const names = group([...grouped.keys()], deviceId);
  const devices = [...grouped].map(([device, own]): TimedDevice => {
    const plain = deviceId(device), place = (names.get(plain) ?? []).indexOf(device);
    const days = own.map(({ date }) => date.slice(0, 10)).toSorted();
    const sources = [...new Set(own.map(({ source }) => source))].toSorted((a, b) => Number(isOwn(b)) - Number(isOwn(a)) || a.localeCompare(b));
    return {
      // Names that are cut to the same letters are numbered.
      id: place <= 0 ? plain : `${place + 1}-${plain}`.slice(0, DEVICE_CHARACTERS).replaceAll(/-+$/g, ""),
      name: device, drivers: driversOf(own), gpu: onGpu(own[0] as TimingRow), sources, dates: [days[0] ?? "", days.at(-1) ?? ""], rows: own, hardware: hardwareOf(device),
    };
  });
  const sheets = HARDWARE.filter((hardware) => !devices.some((device) => device.hardware === hardware)).map((hardware): TimedDevice => {
    const name = hardware.names[0] ?? "";
    return { id: deviceId(name), name, drivers: [], gpu: true, sources: [], dates: ["", ""], rows: [], hardware };
  });
  return [...devices.toSorted((a, b) => Number(b.gpu) - Number(a.gpu) || b.rows.length - a.rows.length), ...sheets];
}

/** Distinct drivers, ours before peers', the latest first. */
function driversOf(rows: readonly TimingRow[]): string[] {
  const latest = rows.toSorted((a, b) => Number(isOwn(b.source)) - Number(isOwn(a.source)) || b.date.localeCompare(a.date));
  return [...new Set(latest.map(({ driver }) => driver))].filter((driver) => driver !== "");
}

/** The driver under which a source measured last; null where it measured nothing. */
export const driverOf = ({ rows }: Pick<TimedDevice, "rows">, source: string): string | null =>
  rows.filter((row) => row.source === source).toSorted((a, b) => b.date.localeCompare(a.date))[0]?.driver ?? null;

export const isMeasured = ({ rows }: Pick<TimedDevice, "rows">): boolean => rows.length > 0;

/** The one the view names; where it names none, or none that is here, the first that was measured. */
export const deviceOf = (devices: readonly TimedDevice[], id: string): TimedDevice | null => devices.find((device) => device.id === id) ?? devices.find(isMeasured) ?? null;
