/** Capture format. Raise it when a reader of the old number would misread a new file; see docs/format.md. */
export const FORMAT_VERSION = 1;
export const FORMAT_NAME = "attnscope-capture";
