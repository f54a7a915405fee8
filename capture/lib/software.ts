// oxlint-disable-next-line no-underscore-dangle -- marks a name that the build replaces
declare const __APP_VERSION__: string;

/** Version of package.json, put in by the build. */
export const SOFTWARE_VERSION: string = __APP_VERSION__;
