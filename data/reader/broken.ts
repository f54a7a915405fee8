import { AttnscopeError } from "../errors.ts";

/** What can be wrong with a file, in one sentence each. `at` is "path in folder". */

export function missingFile(label: string, path: string): AttnscopeError {
  return new AttnscopeError("E_FILE_MISSING", `${path} is not in ${label}: copy the capture again with all of its files, or capture again.`);
}

export function gotHtml(name: string, label: string): AttnscopeError {
  return new AttnscopeError("E_GOT_HTML", `${name} in ${label} is a web page, not a capture's file: the address is probably wrong or asks for a login.`);
}

export function truncated(at: string, how: string): AttnscopeError {
  return new AttnscopeError("E_CAPTURE_TRUNCATED", `${at} is cut off (${how}): copy the capture again, or capture again.`);
}

export function corrupt(at: string, how: string, cause?: unknown): AttnscopeError {
  return new AttnscopeError("E_CAPTURE_CORRUPT", `${at} ${how}: the capture is damaged, copy it again or capture again.`, { cause });
}

export function allNaN(at: string, name: string): AttnscopeError {
  return new AttnscopeError("E_VALUES_NAN", `${at}: column "${name}" holds nothing but NaN, so the run that wrote it broke: check the model's weights for NaN and capture again.`);
}
