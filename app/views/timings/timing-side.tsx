import { useActionContext } from "../../actions/context.ts";
import { count } from "../../lib/format.ts";
import { problemOf } from "../../lib/problem.ts";
import { useStore, useView } from "../../state/store.ts";
import { isMeasured, type TimedDevice } from "../../timings/devices.ts";
import { errorsOf, turnSeries, type Series } from "../../timings/series.ts";
import type { Crossing } from "../../timings/predict.ts";
import { percent } from "../../timings/text.ts";
import { detailsOf, nameOf } from "./look.ts";
import { TimingReadout, type Readable } from "./readout.tsx";
import type { TimingPage } from "./use-timing-page.ts";

/** Device, lines and what is read out, beside the charts. */
export function TimingSide({ page, read, onFocus }: { page: TimingPage; read: Readable | null; onFocus: (short: string | null) => void }) {
  return (
    <aside className="timing-side" aria-label="Device, lines and values">
      <DevicePicker page={page} />
      {isMeasured(page.device) && <SeriesList page={page} onFocus={onFocus} />}
      {isMeasured(page.device) && <TimingReadout read={read} />}
    </aside>
  );
}

const GPU_NOTE = "No GPU has been measured yet.";

const option = ({ id, name }: TimedDevice) => <option key={id} value={id}>{name}</option>;

function DevicePicker({ page: { timings, device } }: { page: TimingPage }) {
  const store = useStore();
  const context = useActionContext();
  const measured = timings.devices.filter(isMeasured), sheets = timings.devices.filter((item) => !isMeasured(item));
  const { error } = timings.tables, wanted = useView((view) => view.device);
  return (
    <section className="timing-device" aria-label="Device">
      <label className="field"><span>Device</span>
        <select value={device.id} aria-label="Device" onChange={(event) => store.set({ device: event.target.value, timingLength: null, timingSeries: "" })}>
          {measured.length > 0 && <optgroup label="Measured">{measured.map(option)}</optgroup>}
          {sheets.length > 0 && <optgroup label="Not measured: bound by the data sheet">{sheets.map(option)}</optgroup>}
        </select>
      </label>
      {isMeasured(device) ? (
        <dl className="num" data-testid="device-facts">
          <div><dt>{device.drivers.length > 1 ? "drivers" : "driver"}</dt><dd title={device.drivers.join("\n")}>{device.drivers.length === 0 ? "not given" : device.drivers.join("; ")}</dd></div>
          <div><dt>measured</dt><dd>{device.dates[0] === device.dates[1] ? device.dates[0] : `${device.dates[0]} – ${device.dates[1]}`}, {count(device.rows.length)} rows</dd></div>
          <div><dt>source</dt><dd title={device.sources.join("\n")}>{device.sources.join(", ")}</dd></div>
        </dl>
      ) : <p className="caption">Nothing was measured on this device: the dotted line is the time below which its peaks let no kernel fall ({device.hardware?.bandwidthGBs?.source ?? device.hardware?.halfTflops?.source}).</p>}
      {wanted !== "" && wanted !== device.id && timings.tables.state === "ready" && <p className="caption" data-testid="device-missing">The link asks for {wanted}, which is in none of the tables here; open its table.</p>}
      {!timings.devices.some((item) => item.gpu && isMeasured(item)) && <p className="caption" data-testid="no-gpu">{GPU_NOTE}</p>}
      {error !== null && <p className="danger" role="alert" data-testid="timings-problem">{problemOf(error).sentence} {problemOf(error).next} <code>{problemOf(error).code}</code></p>}
      <p><button type="button" onClick={context.pickTimings}>Open timings…</button></p>
    </section>
  );
}

function SeriesList({ page: { series, shown, looks, lines, selection }, onFocus }: { page: TimingPage; onFocus: (short: string | null) => void }) {
  const store = useStore();
  const compared = series.find(({ base }) => base)?.op ?? "";
  return (
    <section className="timing-lines" aria-label="Lines">
      <table>
        <thead><tr><th scope="col">{selection.scope === "attention" ? "Attention alone" : "All phases"}</th><th scope="col" title={`Shortest length from which the line is no slower than ${compared}: where the two lines cross, never a measurement`}>{compared === "" ? "" : "break-even"}</th><th scope="col" title="Leave-one-out error of interpolation over the marks of the line: median, worst">error · worst</th></tr></thead>
        <tbody>
          {series.map((line) => {
            const look = looks.get(line.short), on = shown.has(line.short), { median, worst } = errorsOf(line);
            return (
              <tr key={line.id} data-off={!on} onPointerEnter={() => onFocus(line.short)} onPointerLeave={() => onFocus(null)}>
                <th scope="row" title={describe(line)}>
                  <label>
                    <input type="checkbox" checked={on} onChange={() => store.set(({ timingSeries }) => ({ timingSeries: turnSeries(timingSeries, line.short) }))} />
                    <svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">{look !== undefined && <path d={look.shape} fill={look.filled ? look.colour : "none"} stroke={look.colour} strokeWidth={look.filled ? 0 : 1.4} />}</svg>
                    <span><span>{nameOf(line)}</span>{details(line) !== "" && <span className="caption">{details(line)}</span>}</span>
                  </label>
                </th>
                <Meets crossing={lines.find((item) => item.series.short === line.short)?.crossing ?? null} />
                <td className="num">{Number.isFinite(median) ? <>{percent(median).replace(" %", "")}<span className="quiet"> · {percent(worst)}</span></> : "–"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

const describe = ({ title, source, marks, phases }: Series): string =>
  `${title}\n${source}; ${phases.join(" + ")}; ${marks.length === 1 ? "1 length" : `${marks.length} lengths`}`;

const details = (line: Series): string => detailsOf(line).filter((text) => text !== "").join(" · ");

function Meets({ crossing }: { crossing: Crossing | null }) {
  const at = crossing?.at ?? null;
  if (crossing === null || crossing.state === "unknown") return <td />;
  if (at !== null) return <td className="num" data-meets={Math.round(at.tokens)} title={`${at.kind}: the lines cross at ${count(Math.round(at.tokens))} tokens`}>{count(Math.round(at.tokens))}</td>;
  return crossing.state === "below" ? <td title="At every length that both have">faster</td> : <td title="At every length that both have, the longest included">slower</td>;
}
