declare const __APP_VERSION__: string;

/** Version of package.json, put in by the build. */
export const SOFTWARE_VERSION: string = __APP_VERSION__;
