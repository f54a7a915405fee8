import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Store, StoreFile } from "../../data/writer/store.ts";

/** Files below one folder. Errors of the system pass through as they are: the writer turns ENOSPC into E_DISK_FULL. */
export class NodeStore implements Store {
  readonly label: string;

  constructor(private readonly folder: string) {
    this.label = basename(folder);
    mkdirSync(folder, { recursive: true });
  }

  create(path: string): StoreFile {
    const full = join(this.folder, path);
    mkdirSync(dirname(full), { recursive: true });
    return new NodeStoreFile(openSync(full, "w"));
  }

  writeText(path: string, text: string): void {
    const full = join(this.folder, path);
    mkdirSync(dirname(full), { recursive: true });
    const temporary = `${full}.part`;
    const descriptor = openSync(temporary, "w");
    try {
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, full);
  }

  rename(from: string, to: string): void {
    renameSync(join(this.folder, from), join(this.folder, to));
  }

  remove(path: string): void {
    rmSync(join(this.folder, path), { force: true });
  }

  exists(path: string): boolean {
    return existsSync(join(this.folder, path));
  }
}

class NodeStoreFile implements StoreFile {
  constructor(private readonly descriptor: number) {}

  append(bytes: Uint8Array): void {
    // A nearly full disk writes a part and reports no error until the next call.
    for (let at = 0; at < bytes.length;) at += writeSync(this.descriptor, bytes, at);
  }

  flush(): void {
    fsyncSync(this.descriptor);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
